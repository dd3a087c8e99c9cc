import Cell
import FoundationEssentials
import Testing

@Suite("loads of partitions")
struct PartitionLoadsTests {
    private static func load(_ partition: Int, _ streams: Int, _ messages: Int) -> PartitionLoads.Load {
        .init(Partition(partition), streams: streams, messages: messages)
    }

    @Test(
        "are written as runs of neighbours, and read as they were written",
        arguments: [
            ([], ""), ([load(3, 5, 2)], "3:5+2"), ([load(3, 5, 0), load(4, 0, 7)], "3:5,0+7"),
            ([load(200, 5, 1), load(121, 34, 0), load(120, 35, 12)], "120:35+12,34;200:5+1"), ([load(1, 0, 0), load(2, 1, 0)], "2:1"),
        ])
    func roundTrip(_ loads: [PartitionLoads.Load], _ text: String) throws {
        let written = try JSONEncoder().encode([PartitionLoads(loads)])
        let expected = "[\"\(text)\"]"
        #expect(String(decoding: written, as: UTF8.self) == expected)
        let read = try JSONDecoder().decode([PartitionLoads].self, from: written)
        #expect(read == [PartitionLoads(loads)])
        #expect(read[0].all == loads.filter { $0.streams + $0.messages > 0 }.sorted { $0.partition < $1.partition })
    }

    @Test(
        "what is none ends the reading, and nothing traps",
        arguments: [
            ("x", 0), ("3", 0), ("3:", 0), (":5", 0), ("3:5+", 0), ("3:5,", 1), ("3:5;", 1), ("3:5,x,7", 1), ("3:5;9:1000000000", 1),
            ("99999999999999999999:1", 0),
            ("999999999:1,2", 2), ("-3:5", 0), ("3:-5", 0), ("3:5+6+7,8", 1), ("3:5é", 1),
        ])
    func hostile(_ text: String, _ count: Int) throws {
        let read = try JSONDecoder().decode([PartitionLoads].self, from: JSONEncoder().encode([text]))
        #expect(read[0].all.count == count)
    }
}

import Cell
import FoundationEssentials
import Kafka

extension KafkaConfiguration {
    /// How a server of the cell reaches the log; nil while the embedded backplane's address is not assigned yet.
    /// - Throws: `StartProblem` for a secret that cannot be read.
    init?(_ spec: CellSpec, _ assignment: Assignment, for server: ServerID) throws {
        switch spec.backplane {
        case .embedded:
            guard let address = assignment.members(of: .backplane).first?.member.address, !address.isEmpty else { return nil }
            self.init(brokers: [address], clientID: "cell-\(server)", embedded: true)
        case .kafka(let kafka):
            var properties = kafka.properties
            for (property, path) in kafka.secretFiles { properties[property] = try Self.secret(property, path) }
            self.init(brokers: kafka.brokers, properties: properties, clientID: "cell-\(server)")
        }
    }

    private static func secret(_ property: String, _ path: String) throws -> String {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw StartProblem(
                "\(path) of spec.backplane.kafka.secretFiles cannot be read", remedy: "Put the value of \(property) there, readable for this server")
        }
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }
}

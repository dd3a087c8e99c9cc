/// How many replicas have to answer.
public enum Consistency: UInt16, Sendable, CaseIterable {
    case any = 0, one, two, three, quorum, all, localQuorum, eachQuorum, serial, localSerial, localOne

    /// As it is written in CQL and in `cell.yaml`: LOCAL_QUORUM.
    public var name: String {
        switch self {
        case .any: "ANY"
        case .one: "ONE"
        case .two: "TWO"
        case .three: "THREE"
        case .quorum: "QUORUM"
        case .all: "ALL"
        case .localQuorum: "LOCAL_QUORUM"
        case .eachQuorum: "EACH_QUORUM"
        case .serial: "SERIAL"
        case .localSerial: "LOCAL_SERIAL"
        case .localOne: "LOCAL_ONE"
        }
    }

    public init?(name: String) {
        guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }
}

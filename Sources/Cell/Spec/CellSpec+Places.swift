extension CellSpec {
    /// The topic of the cell's messages.
    public var topic: String {
        switch backplane {
        case .kafka(let kafka): kafka.topic
        case .embedded: "\(name)-messages"
        }
    }

    /// Where Kafka's protocol is spoken: the spec's brokers, or the embedded broker once the assignment names it; empty until then.
    public func brokers(in assignment: Assignment) -> [String] {
        switch backplane {
        case .kafka(let kafka): kafka.brokers
        case .embedded: assignment.members(of: .backplane).map(\.member.address).filter { !$0.isEmpty }
        }
    }

    /// The file of the embedded history, which all servers of the cell on this machine share: `DIRECTORY/NAME.sqlite`.
    public var historyFile: String {
        guard case .process(let process) = run else { return "\(name).sqlite" }
        return process.directory.hasSuffix("/") ? "\(process.directory)\(name).sqlite" : "\(process.directory)/\(name).sqlite"
    }
}

/// A message of chat.proto. Encoding gives its bytes without gRPC's prefix.
public protocol ChatMessage: Equatable, Sendable {
    init()
    func encode() -> [UInt8]
    /// Takes one field; one that is unknown is left alone.
    mutating func take(_ number: Int, _ value: ProtobufValue) throws(ProtobufError)
}

/// A field's value as it came; of use to this module alone.
public struct ProtobufValue {
    let value: ProtobufReader.Value
}

extension ChatMessage {
    /// Reads `bytes`; of a field that comes twice the last one counts.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(ProtobufError) {
        self.init()
        var reader = ProtobufReader(bytes)
        while let (number, value) = try reader.next() { try take(number, ProtobufValue(value: value)) }
    }

    public init(decoding bytes: [UInt8]) throws(ProtobufError) {
        let result: Result<Self, ProtobufError> = bytes.withUnsafeBytes { raw in
            do throws(ProtobufError) { return .success(try Self(decoding: raw)) } catch { return .failure(error) }
        }
        self = try result.get()
    }
}

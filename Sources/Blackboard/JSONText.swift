import FoundationEssentials

/// Values as they stand in Redis: JSON with sorted keys, so that equal values are equal texts.
enum JSONText {
    static func encode(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Only numbers that are no numbers can fail here, and our values have none.
        guard let data = try? encoder.encode(value) else { preconditionFailure("\(type(of: value)) cannot be written as JSON") }
        return String(decoding: data, as: UTF8.self)
    }

    /// Nil when `text` is not a `Value`.
    static func decode<Value: Decodable>(_ type: Value.Type, from text: String) -> Value? {
        try? JSONDecoder().decode(type, from: Data(text.utf8))
    }
}

/// An image as `POST /images/create` wants it: without a tag the engine would pull all tags.
struct ImageReference: Equatable, Sendable {
    var name: String
    /// A tag, or a digest.
    var tag: String

    /// `registry:5000/team/cell:1.0`, `cell`, `cell@sha256:…`.
    init(_ text: String) {
        if let at = text.firstIndex(of: "@") {
            // A digest wins over a tag before it.
            name = Self.split(String(text[..<at])).name
            tag = String(text[text.index(after: at)...])
        } else {
            (name, tag) = Self.split(text)
        }
    }

    private static func split(_ text: String) -> (name: String, tag: String) {
        let last = text.lastIndex(of: "/") ?? text.startIndex
        guard let colon = text[last...].lastIndex(of: ":") else { return (text, "latest") }
        return (String(text[..<colon]), String(text[text.index(after: colon)...]))
    }
}

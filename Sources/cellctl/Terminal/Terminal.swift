import Glibc

/// Where output goes. Colours and lines that replace each other are for a terminal alone.
struct Terminal: Sendable {
    /// Whether standard output is a terminal that shows colours.
    let isColoured: Bool
    /// Whether progress may replace itself on standard error.
    let isLive: Bool

    static let standard: Terminal = {
        let plain = variable("NO_COLOR") != nil || variable("TERM") == "dumb"
        return Terminal(isColoured: isatty(1) == 1 && !plain, isLive: isatty(2) == 1 && variable("TERM") != "dumb")
    }()

    func say(_ line: String) { Self.write(line + "\n", to: 1) }
    /// To standard error.
    func complain(_ line: String) { Self.write(line + "\n", to: 2) }
    /// Tells how far it is: in one line that is replaced, or line by line.
    func progress(_ line: String) { Self.write(isLive ? "\r\u{1b}[K" + line : line + "\n", to: 2) }
    /// Removes the last progress.
    func endProgress() { if isLive { Self.write("\r\u{1b}[K", to: 2) } }

    func coloured(_ text: String, _ colour: Colour) -> String { isColoured ? "\u{1b}[\(colour.rawValue)m\(text)\u{1b}[0m" : text }

    enum Colour: Int, Sendable { case red = 31, green = 32, yellow = 33, dim = 2, bold = 1 }

    private static func write(_ text: String, to descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 { rest = rest.dropFirst(count) } else if errno != EINTR { return }
        }
    }
}

/// An environment variable that is set and not empty.
func variable(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
}

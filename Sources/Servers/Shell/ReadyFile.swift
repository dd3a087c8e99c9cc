import Glibc

/// Tells a program in the same container where its server answers: ports are free ones, so nobody outside can know.
enum ReadyFile {
    /// - Returns: whether it was written.
    static func write(_ address: String, to path: String) -> Bool {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { return false }
        defer { close(file) }
        let bytes = Array(address.utf8)
        return Glibc.write(file, bytes, bytes.count) == bytes.count
    }

    /// Whether the server that wrote `path` answers `/readyz` by 200.
    static func isReady(_ path: String) -> Bool {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 300)
        let count = read(file, &bytes, bytes.count)
        guard count > 0 else { return false }
        let address = String(decoding: bytes[..<count], as: UTF8.self)
        // Who listens on every address is reached on loopback.
        let local = address.hasPrefix("0.0.0.0:") ? "127.0.0.1\(address.dropFirst(7))" : address
        return HealthProbe.isHealthy(local, path: "/readyz", timeout_ms: 2_000)
    }
}

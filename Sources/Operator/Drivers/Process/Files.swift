import Glibc

/// The system refused something with a file.
public struct FileError: Error, Sendable, CustomStringConvertible {
    public var path: String
    /// The system's error number.
    public var code: Int32
    public var description: String { "\(path): \(String(cString: strerror(code))). Give the operator a folder that it may write to." }
}

/// Small files, read and written whole. Calls block; they belong on a thread of their own.
enum Files {
    static func makeFolder(_ path: String) throws(FileError) {
        var made = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            made += "/\(part)"
            guard mkdir(made, 0o755) == 0 || errno == EEXIST else { throw FileError(path: made, code: errno) }
        }
    }

    static func names(in folder: String) throws(FileError) -> [String] {
        guard let handle = opendir(folder) else { throw FileError(path: folder, code: errno) }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func read(_ path: String) throws(FileError) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw FileError(path: path, code: errno) }
        defer { close(file) }
        var all: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(file, &part, part.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw FileError(path: path, code: errno) }
            if count == 0 { return all }
            all += part[..<count]
        }
    }

    /// The last bytes of a file, at most `limit`; empty when there is none.
    static func tail(_ path: String, limit: Int) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return "" }
        defer { close(file) }
        let size = lseek(file, 0, SEEK_END)
        lseek(file, max(0, size - limit), SEEK_SET)
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = Glibc.read(file, &bytes, limit)
        return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
    }

    static func size(_ path: String) -> Int {
        var info = stat()
        return stat(path, &info) == 0 ? Int(info.st_size) : 0
    }

    /// Replaces the file at once: readers see the old bytes or the new ones, also when several write it at the same moment, as two operators of one folder may.
    /// - Parameter durable: also after a power failure.
    static func replace(_ path: String, with bytes: [UInt8], durable: Bool) throws(FileError) {
        let fresh = "\(path).\(UInt64.random(in: .min ... .max)).new"
        do {
            try write(bytes, toNew: fresh, durable: durable)
            try rename(fresh, to: path)
        } catch {
            remove(fresh)
            throw error
        }
        if durable { syncFolder(of: path) }
    }

    private static func write(_ bytes: [UInt8], toNew path: String, durable: Bool) throws(FileError) {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw FileError(path: path, code: errno) }
        defer { close(file) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + written, bytes.count - written) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw FileError(path: path, code: errno) }
            written += count
        }
        if durable, fsync(file) != 0 { throw FileError(path: path, code: errno) }
    }

    static func rename(_ path: String, to other: String) throws(FileError) {
        guard Glibc.rename(path, other) == 0 else { throw FileError(path: path, code: errno) }
    }

    static func remove(_ path: String) { unlink(path) }

    /// A rename is durable when its folder is.
    private static func syncFolder(of path: String) {
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { return }
        fsync(file)
        close(file)
    }
}

extension Files {
    static func isThere(_ path: String) -> Bool { access(path, F_OK) == 0 }
}

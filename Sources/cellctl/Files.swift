import FoundationEssentials
import Glibc

struct UnreadableFile: Error {
    var reason: String
}

/// The bytes of a file, a pipe, or standard input (`-`); no more than `limit` and one, so that whoever asked sees that there are more.
func readFile(_ path: String, atMost limit: Int) throws(UnreadableFile) -> [UInt8] {
    let descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw UnreadableFile(reason: String(cString: strerror(errno))) }
    defer { if descriptor != 0 { close(descriptor) } }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while bytes.count <= limit {
        let count = Glibc.read(descriptor, &chunk, min(chunk.count, limit + 1 - bytes.count))
        if count == 0 { break }
        guard count > 0 else {
            if errno == EINTR { continue }
            throw UnreadableFile(reason: String(cString: strerror(errno)))
        }
        bytes += chunk[..<count]
    }
    return bytes
}

/// The cell.yaml files that `path` means: itself, or those of a folder, by name.
func specFiles(at path: String) throws(Failure) -> [String] {
    var status = stat()
    guard path != "-", stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return [path] }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    let files = names.filter { name in !name.hasPrefix(".") && [".yaml", ".yml", ".json"].contains(where: name.hasSuffix) }.sorted()
    guard !files.isEmpty else {
        throw Failure(.invalid, "the folder \(path) has no .yaml, .yml or .json file", remedy: "Name a file, or a folder that has one")
    }
    return files.map { path.hasSuffix("/") ? path + $0 : "\(path)/\($0)" }
}

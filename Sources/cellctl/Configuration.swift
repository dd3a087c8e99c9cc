import Cell
import YAML

/// What `~/.config/cellctl/config` (or `$CELLCTL_CONFIG`) says, in YAML:
///
///     redis: redis://cells.example.org:6379
///     passwordFile: /home/me/.config/cellctl/redis-password
///     cell: eu-1
struct Configuration: Equatable, Sendable {
    var redis: String?
    /// The file with the password of that Redis.
    var passwordFile: String?
    /// The cell that is meant when none is named.
    var cell: String?

    /// An absent file says nothing; one that `CELLCTL_CONFIG` names must be there.
    static func load() throws -> Configuration {
        if let path = variable("CELLCTL_CONFIG") { return try Configuration(parsing: try read(path), file: path) }
        guard let home = variable("HOME"), let bytes = try? read("\(home)/.config/cellctl/config") else { return Configuration() }
        return try Configuration(parsing: bytes, file: "\(home)/.config/cellctl/config")
    }

    init() {}

    init(parsing bytes: [UInt8], file: String) throws {
        let start = Mark(file: file, line: 1, column: 1)
        let documents = try YAML.documents(in: bytes, file: file)
        guard let document = documents.first else { return }
        guard documents.count == 1, case .mapping(let entries, _) = document else {
            throw SpecProblem(start, "", "the configuration is no mapping", remedy: "Write redis: ADDRESS")
        }
        if let problem = document.duplicateKeys().first { throw problem }
        let fields: [String: WritableKeyPath<Configuration, String?>] = ["redis": \.redis, "passwordFile": \.passwordFile, "cell": \.cell]
        for entry in entries where !entry.value.isNothing {
            guard let field = fields[entry.key] else {
                let near = nearest(to: entry.key, among: fields.keys.sorted())
                throw SpecProblem(
                    entry.keyMark, entry.key, "is not known", remedy: near.map { "Did you mean \($0)?" } ?? "Known here: redis, passwordFile, cell")
            }
            guard case .scalar(let text, _, _) = entry.value else {
                throw SpecProblem(entry.value.mark, entry.key, "is no text", remedy: "Write \(entry.key): TEXT")
            }
            self[keyPath: field] = text
        }
    }

    private static func read(_ path: String) throws(Failure) -> [UInt8] {
        do throws(UnreadableFile) {
            return try readFile(path, atMost: 65_536)
        } catch {
            throw Failure(.usage, "the configuration \(path) cannot be read: \(error.reason)", remedy: "Mend it, or unset CELLCTL_CONFIG")
        }
    }

    static func secret(in path: String) throws(Failure) -> String {
        do throws(UnreadableFile) {
            let text = String(decoding: try readFile(path, atMost: 65_536), as: UTF8.self)
            return text.hasSuffix("\n") ? String(text.dropLast()) : text
        } catch {
            throw Failure(.usage, "the password file \(path) cannot be read: \(error.reason)", remedy: "Mend passwordFile in the configuration")
        }
    }
}

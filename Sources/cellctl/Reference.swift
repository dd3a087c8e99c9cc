import Cell

/// docs/cell-yaml.md, from the table of fields. Pure.
enum Reference {
    static var markdown: String {
        ([introduction] + CellSchema.fields.flatMap { chapter(of: $0) } + [rules, properties]).joined(separator: "\n\n") + "\n"
    }

    private static let introduction = """
        # cell.yaml

        Written by `cellctl explain --markdown`; change the table in `Sources/Cell/Spec/CellSchema*.swift` instead of this file. `cellctl explain PATH` tells the \
        same of one field, and `manifests/` has examples.

        ```yaml
        apiVersion: \(CellSchema.apiVersion)
        kind: \(CellSchema.kind)
        metadata: {name: eu-1}
        spec:
          partitions: 720
          messaging: {servers: 4, standbys: 1}
          backplane: {kafka: {brokers: ["127.0.0.1:9092"]}}
          store: {cassandra: {contactPoints: ["127.0.0.1:9042"], keyspace: eu_1}}
          auth: {jwt: {keyFile: /etc/cell/jwt.pem, algorithm: ES256}}
          run: {process: {}}
        ```

        ## How it is read
        - It is YAML 1.1, in UTF-8 (or UTF-16 with a byte order mark). A file may hold several cells, separated by `---`; empty documents are skipped. JSON is YAML too.
        - A value means what its field says, not what it looks like: `name: no` is a name and `keyspace: 0123` a keyspace. Integers are decimal digits alone: `012`, \
        `0x3`, `1_000`, `20:00`, `1.0` and `"1"` are refused. So is what `kubectl` would read as something else.
        - Nothing (`key:`, `key: ~`, `key: null`) means the default, and so does `{}` for a mapping. What is required cannot be nothing.
        - Durations are a number and a unit: `500ms`, `1.5s`, `2m`, `1h`, `7d`. Sizes count by 1,024: `8Ki`, `256Mi`, `1Gi`, or plain bytes. Percentages have their sign: `25%`.
        - Keys that are written twice, unknown keys and tags are refused. Anchors, aliases and merge keys (`<<`) work as in YAML 1.1, within 50,000 values; keys of \
        the document that begin with `x-` are left alone, so that something can be anchored there.
        - Secrets do not stand in it. It names files that hold them, as the servers see those files.
        - Every problem is told at once (beyond 50 they are counted), each with its place and what to write.
        - *Fixed* fields cannot change while the cell lives: neither can the kind of backplane and of store.
        - What `cellctl get cell NAME -o yaml` and `kubectl get cell NAME -o yaml` print can be applied again: `status` and what Kubernetes writes into `metadata` are not read.
        """

    private static func chapter(of field: FieldInfo, _ parent: String = "") -> [String] {
        let path = parent.isEmpty ? field.name : "\(parent).\(field.name)"
        let fields = field.form.fields
        guard !fields.isEmpty else { return [] }
        let head = ["## \(path)", field.about, oneOf(field.form)].filter { !$0.isEmpty }.joined(separator: "\n\n")
        return [head + "\n\n" + table(fields)] + fields.flatMap { chapter(of: $0, path) }
    }

    private static func oneOf(_ form: Form) -> String {
        if case .oneOf = form { return "Exactly one of:" }
        return ""
    }

    private static func table(_ fields: [FieldInfo]) -> String {
        let rows = fields.map { field in
            let fixed = field.fixed.map { " **Fixed**: \($0)." } ?? ""
            return "| `\(field.name)` | \(escaped(field.form.description)) | \(fallback(of: field)) | \(escaped(field.about))\(fixed) |"
        }
        return (["| field | value | default | what it is |", "|---|---|---|---|"] + rows).joined(separator: "\n")
    }

    private static func fallback(of field: FieldInfo) -> String {
        if field.isRequired { return "required" }
        guard let fallback = field.fallback else { return "" }
        return fallback.contains(" ") || fallback == "none" ? fallback : "`\(fallback)`"
    }

    private static func escaped(_ text: String) -> String { text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|") }

    private static var rules: String { "## Between fields\n\n" + CellSchema.rules.map { "- \($0)" }.joined(separator: "\n") }

    private static var properties: String {
        let allowed = KafkaProperties.allowed.sorted().map { "`\($0)`" }.joined(separator: ", ")
        let secrets = KafkaProperties.secrets.sorted().map { "`\($0)`" }.joined(separator: ", ")
        return "## Kafka's properties\n\nIn `properties`: \(allowed).\n\nIn `secretFiles`: \(secrets)."
    }
}

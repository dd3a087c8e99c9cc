/// What Kubernetes is told of a Cell: the same table of fields as its structural schema.
///
/// Integers, words, patterns and counts have our limits there. What a schema cannot say (the range of a duration, keys of a mapping, what is fixed, rules
/// between fields) the operator says in the object's condition, in the words of `cellctl apply`.
extension CellSchema {
    public static let group = "cecochat.io"
    public static let plural = "cells"

    /// The CustomResourceDefinition, of which manifests/kubernetes/crd.yaml is a copy.
    public static var customResourceDefinition: JSON {
        let names: JSON = .object([
            "kind": .text(kind), "listKind": .text("CellList"), "plural": .text(plural), "singular": .text("cell"), "categories": .texts(["chat"]),
        ])
        let version: JSON = .object([
            "name": .text("v1alpha1"), "served": .flag(true), "storage": .flag(true), "schema": .object(["openAPIV3Schema": root]),
            "subresources": .object([
                "status": .object([:]),
                "scale": .object([
                    "specReplicasPath": .text(".spec.messaging.servers"), "statusReplicasPath": .text(".status.messaging.replicas"),
                    "labelSelectorPath": .text(".status.selector"),
                ]),
            ]),
            "additionalPrinterColumns": .list([
                column("Ready", "string", #".status.conditions[?(@.type=="Ready")].status"#, "Every server is ready, and every partition is served."),
                column("Available", "string", #".status.conditions[?(@.type=="Available")].status"#, "Every partition is served."),
                column("Messaging", "integer", ".status.messaging.ready", "Messaging servers that are ready, standbys included."),
                column("Wanted", "integer", ".spec.messaging.servers", "Messaging servers that are to own partitions."),
                column("Reason", "string", #".status.conditions[?(@.type=="Ready")].reason"#, "Why it is ready, or not."),
                column("Message", "string", #".status.conditions[?(@.type=="Ready")].message"#, "The same in a sentence.", priority: 1),
                column("Age", "date", ".metadata.creationTimestamp", "Since it was made."),
            ]),
        ])
        return .object([
            "apiVersion": .text("apiextensions.k8s.io/v1"), "kind": .text("CustomResourceDefinition"),
            "metadata": .object(["name": .text("\(plural).\(group)")]),
            "spec": .object(["group": .text(group), "names": names, "scope": .text("Namespaced"), "versions": .list([version])]),
        ])
    }

    private static func column(_ name: String, _ type: String, _ path: String, _ about: String, priority: Int? = nil) -> JSON {
        var members: [String: JSON] = ["name": .text(name), "type": .text(type), "jsonPath": .text(path), "description": .text(about)]
        members["priority"] = priority.map { .integer($0) }
        return .object(members)
    }

    // MARK: The schema

    private static var root: JSON {
        let spec = fields.first { $0.name == "spec" }?.form.fields ?? []
        let name: JSON = .object(["type": .text("string"), "maxLength": .integer(40), "pattern": .text(whole(TextForm.cellName.pattern))])
        return .object([
            "type": .text("object"), "description": .text("A cell of chat servers."), "required": .texts(["spec"]),
            "properties": .object([
                "apiVersion": .object(["type": .text("string")]), "kind": .object(["type": .text("string")]),
                "metadata": .object(["type": .text("object"), "properties": .object(["name": name])]),
                "spec": described(schema(.group(spec), "spec"), "What the cell is to be."), "status": status,
            ]),
        ])
    }

    private static func described(_ schema: JSON, _ about: String) -> JSON {
        guard case .object(var members) = schema, !about.isEmpty else { return schema }
        members["description"] = .text(about)
        return .object(members)
    }

    private static func property(_ field: FieldInfo, _ path: String) -> JSON {
        let about = field.about + (field.fixed == nil ? "" : " Fixed for the cell's life.")
        guard case .object(var members) = described(schema(field.form, path), about) else { return .null }
        // Pods are where their Cell is, which is no constant.
        if path != "spec.run.kubernetes.namespace" { members["default"] = field.standard }
        return .object(members)
    }

    private static func properties(_ fields: [FieldInfo], _ path: String) -> JSON {
        .object(Dictionary(uniqueKeysWithValues: fields.map { ($0.name, property($0, "\(path).\($0.name)")) }))
    }

    static func schema(_ form: Form, _ path: String) -> JSON {
        switch form {
        case .integer(let range):
            .object(["type": .text("integer"), "format": .text("int64"), "minimum": .integer(range.lowerBound), "maximum": .integer(range.upperBound)])
        case .duration: text(#"[0-9]{1,15}(\.[0-9]{1,15})?(ms|s|m|h|d)"#)
        case .size: quantity("[0-9]{1,15}(\\.[0-9]{1,15})?(Ki|Mi|Gi|Ti)?")
        case .percent: text(#"[0-9]{1,3}(\.0+)?%"#)
        case .cores: quantity("[0-9]{1,15}(\\.[0-9]{1,15})?m?")
        case .flag: .object(["type": .text("boolean")])
        case .text(let form): text(form.pattern)
        case .choice(let names): .object(["type": .text("string"), "enum": .texts(names)])
        case .list(let form, let count):
            .object([
                "type": .text("array"), "minItems": .integer(count.lowerBound), "maxItems": .integer(count.upperBound), "items": schema(form, "\(path)[]"),
            ])
        case .map(_, let values):
            .object(["type": .text("object"), "maxProperties": .integer(256), "additionalProperties": text(values.pattern)])
        case .group(let fields):
            group(fields, path)
        case .oneOf(let options):
            .object([
                "type": .text("object"), "minProperties": .integer(1), "maxProperties": .integer(1), "properties": properties(options, path),
            ])
        case .anything: .object(["type": .text("object"), "x-kubernetes-preserve-unknown-fields": .flag(true)])
        }
    }

    private static func group(_ fields: [FieldInfo], _ path: String) -> JSON {
        var members: [String: JSON] = ["type": .text("object"), "properties": properties(fields, path)]
        let required = fields.filter(\.isRequired).map(\.name)
        if !required.isEmpty { members["required"] = .texts(required) }
        return .object(members)
    }

    private static func text(_ pattern: String) -> JSON {
        .object(["type": .text("string"), "maxLength": .integer(TextForm.longest), "pattern": .text(whole(pattern))])
    }

    /// A text with a unit, or an integer without.
    private static func quantity(_ pattern: String) -> JSON {
        .object([
            "x-kubernetes-int-or-string": .flag(true), "anyOf": .list([.object(["type": .text("integer")]), .object(["type": .text("string")])]),
            "pattern": .text(whole(pattern)),
        ])
    }

    private static func whole(_ pattern: String) -> String { "^(\(pattern))$" }

    // MARK: The status

    private static var status: JSON {
        let text: JSON = .object(["type": .text("string")])
        let number: JSON = .object(["type": .text("integer"), "format": .text("int64")])
        let condition: JSON = .object([
            "type": .text("object"), "required": .texts(["type", "status", "reason", "message", "observedGeneration", "lastTransitionTime"]),
            "properties": .object([
                "type": text, "status": .object(["type": .text("string"), "enum": .texts(["True", "False", "Unknown"])]), "reason": text, "message": text,
                "observedGeneration": number, "lastTransitionTime": .object(["type": .text("string"), "format": .text("date-time")]),
            ]),
        ])
        let messaging: JSON = .object(["type": .text("object"), "properties": .object(["replicas": number, "ready": number])])
        return .object([
            "type": .text("object"), "description": .text("What its operator tells of the cell."),
            "properties": .object([
                "observedGeneration": number, "epoch": number, "log": text, "operator": text, "selector": text, "messaging": messaging,
                "conditions": .object([
                    "type": .text("array"), "items": condition, "x-kubernetes-list-type": .text("map"), "x-kubernetes-list-map-keys": .texts(["type"]),
                ]),
            ]),
        ])
    }
}

extension JSON {
    fileprivate static func texts(_ texts: [String]) -> JSON { .list(texts.map { .text($0) }) }
}

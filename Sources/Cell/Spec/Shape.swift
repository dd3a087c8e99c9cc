/// How a value of the spec is read from a node and written as JSON.
struct Shape<Value>: Sendable {
    let form: Form
    let example: String
    /// Nil when the node is no such value; then `Findings` says why.
    let read: @Sendable (Node, _ path: String, inout Findings) -> Value?
    let write: @Sendable (Value) -> JSON
}

extension Shape {
    /// The same in writing, another type in the spec. `to` must take everything that this shape reads.
    func converted<Other>(to: @escaping @Sendable (Value) -> Other?, from: @escaping @Sendable (Other) -> Value) -> Shape<Other> {
        Shape<Other>(
            form: form, example: example,
            read: { node, path, findings in read(node, path, &findings).flatMap(to) },
            write: { write(from($0)) })
    }
}

// MARK: numbers

extension Shape<Int> {
    static func integer(_ range: ClosedRange<Int>, example: String = "1") -> Shape {
        Shape(
            form: .integer(range), example: example,
            read: { node, path, findings in
                guard let text = node.plainText(path, "an integer", example, &findings), let value = decimal(text, node, path, example, &findings) else {
                    return nil
                }
                return within(range, value, { grouped($0) }, text, node, path, &findings)
            }, write: { .integer($0) })
    }

    /// Decimal digits alone: what other readers of YAML take for octal, hexadecimal or base 60 is refused.
    private static func decimal(_ text: String, _ node: Node, _ path: String, _ example: String, _ findings: inout Findings) -> Int? {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        if digits.utf8.allSatisfy({ (48...57).contains($0) }), digits == "0" || digits.first != "0", !digits.isEmpty, let value = Int(text) { return value }
        findings.add(
            node.mark, path, "is \(shown(text)), which is no integer in decimal digits",
            remedy: meant(text).map { "Write \($0)" } ?? "Write it in digits alone, like \(example)")
        return nil
    }

    /// The integer that `0x3`, `1_000`, `1,000` or `2.0` mean. What a leading zero means nobody knows: 012 is 10 in YAML 1.1.
    private static func meant(_ text: String) -> Int? {
        if text.lowercased().hasPrefix("0x") { return Int(text.dropFirst(2), radix: 16) }
        let digits = text.filter { $0 != "_" && $0 != "," }
        let whole = digits.hasSuffix(".0") ? String(digits.dropLast(2)) : digits
        return whole.first == "0" || whole.first == "+" ? nil : Int(whole)
    }

    /// Bytes.
    static func size(_ range: ClosedRange<Int>, example: String) -> Shape {
        .quantity(.size(range), example, "a size", range, Quantity.bytes, { Quantity.text(bytes: $0) })
    }

    static func percent(_ range: ClosedRange<Int>) -> Shape {
        .quantity(.percent(range), "25%", "a percentage", range, Quantity.percent, { "\($0)%" })
    }

    /// Cores in thousandths.
    static func cores(_ range: ClosedRange<Int>) -> Shape {
        .quantity(.cores(range), "2", "a number of cores", range, Quantity.cores_milli, { Quantity.text(cores_milli: $0) })
    }
}

extension Shape<Duration> {
    static func duration(_ range: ClosedRange<Duration>) -> Shape {
        let example = Quantity.text(range.lowerBound)
        return .quantity(.duration(range), example, "a duration", range, Quantity.duration, { Quantity.text($0) })
    }
}

extension Shape where Value: Comparable & Sendable {
    static func quantity(
        _ form: Form, _ example: String, _ what: String, _ range: ClosedRange<Value>,
        _ parse: @escaping @Sendable (String) throws(Quantity.Refusal) -> Value, _ text: @escaping @Sendable (Value) -> String
    ) -> Shape {
        Shape(
            form: form, example: example,
            read: { node, path, findings in
                guard let written = node.text(path, what, &findings) else { return nil }
                do throws(Quantity.Refusal) {
                    return within(range, try parse(written), text, written, node, path, &findings)
                } catch {
                    findings.add(node.mark, path, "is \(quoted(written)), which \(error.problem)", remedy: error.remedy)
                    return nil
                }
            }, write: { .text(text($0)) })
    }

    fileprivate static func within(
        _ range: ClosedRange<Value>, _ value: Value, _ text: (Value) -> String, _ written: String, _ node: Node, _ path: String, _ findings: inout Findings
    ) -> Value? {
        if range.contains(value) { return value }
        let limit = value < range.lowerBound ? "at least \(text(range.lowerBound))" : "at most \(text(range.upperBound))"
        findings.add(node.mark, path, "is \(shown(written)); it must be \(limit)", remedy: "Write \(text(range.lowerBound)) to \(text(range.upperBound))")
        return nil
    }
}

// MARK: words

extension Shape<Bool> {
    static let flag = Shape(
        form: .flag, example: "true",
        read: { node, path, findings in
            guard let text = node.plainText(path, "true or false", "true", &findings) else { return nil }
            if text == "true" || text == "false" { return text == "true" }
            findings.add(node.mark, path, "is \(shown(text)), which is neither true nor false", remedy: "Write true or false")
            return nil
        }, write: { .flag($0) })
}

extension Shape<String> {
    static func text(_ form: TextForm) -> Shape {
        Shape(
            form: .text(form), example: form.example,
            read: { node, path, findings in
                guard let text = node.text(path, "a text", &findings) else { return nil }
                if form.accepts(text) { return text }
                findings.add(node.mark, path, "is \(quoted(text)); it must be a \(form.what)", remedy: "Write it like \(form.example)")
                return nil
            }, write: { .text($0) })
    }
}

extension Shape where Value: RawRepresentable<String> & CaseIterable & Sendable {
    static var choice: Shape {
        let names = Value.allCases.map(\.rawValue)
        return Shape(
            form: .choice(names), example: names[0],
            read: { node, path, findings in
                guard let text = node.text(path, "a word", &findings) else { return nil }
                if let value = Value(rawValue: text) { return value }
                let near = nearest(to: text, among: names)
                findings.add(
                    node.mark, path, "is \(quoted(text))", remedy: near.map { "Did you mean \($0)?" } ?? "Write one of \(names.joined(separator: ", "))")
                return nil
            }, write: { .text($0.rawValue) })
    }
}

// MARK: reading scalars

/// `text` in quotes, cut to what a line can show.
func quoted(_ text: String) -> String { "\"\(shown(text))\"" }

extension Node {
    /// What was written here, whether in quotes or not.
    func text(_ path: String, _ what: String, _ findings: inout Findings) -> String? {
        switch self {
        case .scalar where isNothing: findings.add(mark, path, "has no value", remedy: "Write \(what)")
        case .scalar(let text, _, _): return text
        case .sequence: findings.add(mark, path, "is a list", remedy: "Write \(what)")
        case .mapping: findings.add(mark, path, "is a mapping", remedy: "Write \(what)")
        }
        return nil
    }

    /// What was written here without quotes.
    func plainText(_ path: String, _ what: String, _ example: String, _ findings: inout Findings) -> String? {
        if case .scalar(let text, plain: false, _) = self {
            let unquoted = text == example || Int(text) != nil ? text : example
            findings.add(mark, path, "is the text \(quoted(text))", remedy: "Write \(what) without quotes, like \(unquoted)")
            return nil
        }
        return text(path, what, &findings)
    }
}

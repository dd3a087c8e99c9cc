import CLibYAML
import Cell

/// What libyaml finds in a text, one after another.
enum Event {
    case stream, document
    case end
    case scalar(String, plain: Bool, anchor: String?)
    case alias(String)
    case sequence(anchor: String?), mapping(anchor: String?)
    /// Of the document, sequence or mapping that began last.
    case close
}

/// libyaml's parser over one text.
final class EventReader {
    let source: SourceText
    // On the heap because libyaml keeps pointers into it; the text beside it must live as long.
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let text: UnsafeMutableBufferPointer<UInt8>

    init(_ source: SourceText) {
        self.source = source
        text = .allocate(capacity: max(1, source.utf8.count))
        _ = text.initialize(from: source.utf8)
        parser = .allocate(capacity: 1)
        // Fails for want of memory alone.
        precondition(yaml_parser_initialize(parser) == 1)
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, text.baseAddress, source.utf8.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
        text.deallocate()
    }

    func next() throws(SpecProblem) -> (event: Event, mark: Mark) {
        var raw = yaml_event_t()
        guard yaml_parser_parse(parser, &raw) == 1 else { throw syntaxProblem() }
        defer { yaml_event_delete(&raw) }
        let mark = mark(raw.start_mark)
        switch raw.type {
        case YAML_STREAM_START_EVENT: return (.stream, mark)
        case YAML_DOCUMENT_START_EVENT: return (.document, mark)
        case YAML_SCALAR_EVENT:
            let scalar = raw.data.scalar
            try refuse(tag: scalar.tag, at: mark)
            let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            return (.scalar(text, plain: scalar.style == YAML_PLAIN_SCALAR_STYLE, anchor: name(scalar.anchor)), mark)
        case YAML_ALIAS_EVENT: return (.alias(name(raw.data.alias.anchor) ?? ""), mark)
        case YAML_SEQUENCE_START_EVENT:
            try refuse(tag: raw.data.sequence_start.tag, at: mark)
            return (.sequence(anchor: name(raw.data.sequence_start.anchor)), mark)
        case YAML_MAPPING_START_EVENT:
            try refuse(tag: raw.data.mapping_start.tag, at: mark)
            return (.mapping(anchor: name(raw.data.mapping_start.anchor)), mark)
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT, YAML_DOCUMENT_END_EVENT: return (.close, mark)
        default: return (.end, mark)
        }
    }

    private func mark(_ mark: yaml_mark_t) -> Mark { Mark(file: source.file, line: mark.line + 1, column: mark.column + 1) }

    private func name(_ text: UnsafeMutablePointer<UInt8>?) -> String? { text.map { String(cString: $0) } }

    /// A tag changes what a value means, for every reader in another way.
    private func refuse(tag: UnsafeMutablePointer<UInt8>?, at mark: Mark) throws(SpecProblem) {
        guard let tag = name(tag) else { return }
        throw SpecProblem(mark, "", "the value has the tag \(tag)", remedy: "Write the value without a tag")
    }

    private func syntaxProblem() -> SpecProblem {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "no YAML"
        guard parser.pointee.error != YAML_READER_ERROR else {
            let mark = source.mark(atByte: parser.pointee.problem_offset)
            return SpecProblem(mark, "", problem, remedy: "Save the file as plain text, in UTF-8")
        }
        let place = mark(parser.pointee.problem_mark)
        if let column = source.tabInIndentation(ofLine: place.line) {
            let tab = Mark(file: source.file, line: place.line, column: column)
            return SpecProblem(tab, "", "tabs cannot indent YAML", remedy: "Indent this line by spaces")
        }
        let context = parser.pointee.context.map { String(cString: $0) }
        let began = parser.pointee.context_mark.line + 1
        let whole = context.map { "\(problem) (\($0)\(began == place.line ? "" : ", which begins at line \(began)"))" } ?? problem
        return SpecProblem(place, "", whole, remedy: Self.remedy(for: problem))
    }

    /// libyaml's wording is its only account of what is wrong; nothing but the advice depends on it.
    private static func remedy(for problem: String) -> String {
        switch problem {
        case let text where text.contains("mapping values are not allowed"):
            "Give each key its own line, indented like its neighbours, and put a text that contains ': ' in quotes"
        case let text where text.contains("depth"): "Write it flat: a cell needs a few levels"
        case let text where text.contains("expected key"), let text where text.contains("expected '-'"): "Indent this line like its neighbours"
        case let text where text.contains("expected ','"): "Close the bracket, or put a comma between the values"
        case let text where text.contains("unexpected end of stream"): "Close the quote"
        case let text where text.contains("cannot start any token"): "Put the text in quotes"
        default: "Mend the YAML here"
        }
    }
}

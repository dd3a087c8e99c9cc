/// What may be written in a field: for people, for problems, and for a Kubernetes schema.
public indirect enum Form: Sendable {
    case integer(ClosedRange<Int>)
    case duration(ClosedRange<Duration>)
    /// Bytes.
    case size(ClosedRange<Int>)
    case percent(ClosedRange<Int>)
    /// Cores, in thousandths.
    case cores(ClosedRange<Int>)
    case flag
    case text(TextForm)
    case choice([String])
    case list(of: Form, count: ClosedRange<Int>)
    case map(keys: TextForm, values: TextForm)
    case group([FieldInfo])
    /// Exactly one of them.
    case oneOf([FieldInfo])
    /// Handed on as it is.
    case anything
}

/// One field of a cell.yaml, as the reference and `cellctl explain` tell it.
public struct FieldInfo: Sendable {
    public var name: String
    public var form: Form
    public var isRequired: Bool
    /// What leaving it out means, as one would write it; nil: it has no value then.
    public var fallback: String?
    /// Why it cannot change during a cell's life; nil when it may.
    public var fixed: String?
    public var about: String
    /// A value that could stand there.
    public var example: String
    /// `fallback` as a value; nil where leaving it out means something that is no constant.
    public var standard: JSON?
}

extension Form: CustomStringConvertible {
    /// Like `integer, 1 to 10,000`.
    public var description: String {
        switch self {
        case .integer(let range): "integer, \(grouped(range.lowerBound)) to \(grouped(range.upperBound))"
        case .duration(let range): "duration, \(Quantity.text(range.lowerBound)) to \(Quantity.text(range.upperBound))"
        case .size(let range): "size, \(Quantity.text(bytes: range.lowerBound)) to \(Quantity.text(bytes: range.upperBound))"
        case .percent(let range): "percentage, \(range.lowerBound)% to \(range.upperBound)%"
        case .cores(let range): "cores, \(Quantity.text(cores_milli: range.lowerBound)) to \(Quantity.text(cores_milli: range.upperBound))"
        case .flag: "true or false"
        case .text(let text): text.what
        case .choice(let names): "one of " + names.joined(separator: ", ")
        case .list(let form, _): "list of \(form)"
        case .map(let keys, let values): "mapping, \(keys.what) to \(values.what)"
        case .group: "mapping"
        case .oneOf(let options): "one of " + options.map(\.name).joined(separator: ", ")
        case .anything: "as Kubernetes has it"
        }
    }

    /// The fields that lie in it.
    public var fields: [FieldInfo] {
        switch self {
        case .group(let fields), .oneOf(let fields): fields
        default: []
        }
    }
}

/// Digits in groups of three: 10,000.
func grouped(_ number: Int) -> String {
    var result = ""
    for (index, digit) in String(number).reversed().enumerated() {
        if index > 0, index % 3 == 0, digit != "-" { result.append(",") }
        result.append(digit)
    }
    return String(result.reversed())
}

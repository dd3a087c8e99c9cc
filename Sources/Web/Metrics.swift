import Synchronization

/// Only goes up; counting costs one atomic addition.
public final class Counter: Sendable {
    private let count = Atomic<UInt64>(0)

    public init() {}

    public func add(_ amount: UInt64 = 1) { count.wrappingAdd(amount, ordering: .relaxed) }

    public var value: UInt64 { count.load(ordering: .relaxed) }
}

/// Goes up and down.
public final class Gauge: Sendable {
    private let count = Atomic<Int64>(0)

    public init() {}

    public func set(_ value: Int64) { count.store(value, ordering: .relaxed) }
    public func add(_ amount: Int64 = 1) { count.wrappingAdd(amount, ordering: .relaxed) }

    public var value: Int64 { count.load(ordering: .relaxed) }
}

/// Counts durations by upper bounds.
public final class Histogram: Sendable {
    /// In seconds, ascending; the last bucket has none.
    public let bounds: [Double]
    private struct State {
        var counts: [UInt64]
        var sum = 0.0
    }
    private let state: Mutex<State>

    /// From 1 ms to 10 s.
    public static let usualBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

    init(bounds: [Double]) {
        self.bounds = bounds.sorted()
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    public func observe(_ duration: Duration) {
        observe(Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18)
    }

    /// - Parameter value: in the unit of the bounds.
    public func observe(_ value: Double) {
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            state.counts[bucket] += 1
            state.sum += value
        }
    }

    /// How many values lie at or below each bound and then in all, and their sum.
    public var snapshot: (cumulative: [UInt64], sum: Double) {
        state.withLock { state in
            var total: UInt64 = 0
            let cumulative = state.counts.map { count in
                total += count
                return total
            }
            return (cumulative, state.sum)
        }
    }
}

/// What a process counts, for `/metrics`.
///
/// Asking for the same name and labels again gives the same object; keep it where you count. A name that Prometheus does not take, or one name
/// for two kinds, is a bug and traps.
public final class Metrics: Sendable {
    public typealias Labels = [String: String]

    private enum Instrument: Sendable {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)
        case reading(PrometheusText.Kind, @Sendable () -> Double)

        var kind: PrometheusText.Kind {
            switch self {
            case .counter: .counter
            case .gauge: .gauge
            case .histogram: .histogram
            case .reading(let kind, _): kind
            }
        }
    }

    private struct Family {
        var kind: PrometheusText.Kind
        var help: String
        var instruments: [Labels: Instrument] = [:]
    }

    private let families = Mutex<[String: Family]>([:])

    public init() {}

    /// By convention its name ends in `_total`.
    public func counter(_ name: String, _ help: String, _ labels: Labels = [:]) -> Counter {
        let instrument = register(name, help, labels, .counter) { .counter(Counter()) }
        guard case .counter(let counter) = instrument else { preconditionFailure("\(name) is not a counter") }
        return counter
    }

    public func gauge(_ name: String, _ help: String, _ labels: Labels = [:]) -> Gauge {
        let instrument = register(name, help, labels, .gauge) { .gauge(Gauge()) }
        guard case .gauge(let gauge) = instrument else { preconditionFailure("\(name) is not a gauge") }
        return gauge
    }

    /// - Parameter bounds: in seconds unless the name says otherwise.
    public func histogram(_ name: String, _ help: String, _ labels: Labels = [:], bounds: [Double] = Histogram.usualBounds) -> Histogram {
        let instrument = register(name, help, labels, .histogram) { .histogram(Histogram(bounds: bounds)) }
        guard case .histogram(let histogram) = instrument else { preconditionFailure("\(name) is not a histogram") }
        return histogram
    }

    /// A gauge, or a counter kept elsewhere, that is read when somebody asks; a later one replaces it.
    public func read(
        _ name: String, _ help: String, _ labels: Labels = [:], as kind: PrometheusText.Kind = .gauge, _ value: @escaping @Sendable () -> Double
    ) {
        families.withLock { families in
            check(name, labels, families[name]?.kind ?? kind, kind)
            families[name, default: Family(kind: kind, help: help)].instruments[labels] = .reading(kind, value)
        }
    }

    /// Forgets one line, such as that of a server that is gone.
    public func remove(_ name: String, _ labels: Labels) {
        families.withLock { _ = $0[name]?.instruments.removeValue(forKey: labels) }
    }

    /// Everything, sorted by name and labels.
    public var text: String {
        let families = families.withLock { $0 }
        var text = PrometheusText()
        for (name, family) in families.sorted(by: { $0.key < $1.key }) where !family.instruments.isEmpty {
            text.family(name, family.kind, help: family.help)
            let lines = family.instruments.map { (labels: $0.key.sorted { $0.key < $1.key }, instrument: $0.value) }
            for line in lines.sorted(by: { "\($0.labels)" < "\($1.labels)" }) {
                Self.write(line.instrument, name, line.labels.map { (name: $0.key, value: $0.value) }, to: &text)
            }
        }
        return text.text
    }

    private static func write(_ instrument: Instrument, _ name: String, _ labels: [(name: String, value: String)], to text: inout PrometheusText) {
        switch instrument {
        case .counter(let counter): text.sample(name, labels, Double(counter.value))
        case .gauge(let gauge): text.sample(name, labels, Double(gauge.value))
        case .reading(_, let value): text.sample(name, labels, value())
        case .histogram(let histogram):
            let (cumulative, sum) = histogram.snapshot
            for (bound, count) in zip(histogram.bounds + [.infinity], cumulative) {
                text.sample("\(name)_bucket", labels + [(name: "le", value: PrometheusText.number(bound))], Double(count))
            }
            text.sample("\(name)_sum", labels, sum)
            text.sample("\(name)_count", labels, Double(cumulative.last ?? 0))
        }
    }

    private func register(
        _ name: String, _ help: String, _ labels: Labels, _ kind: PrometheusText.Kind, _ make: () -> Instrument
    ) -> Instrument {
        families.withLock { families in
            check(name, labels, families[name]?.kind ?? kind, kind)
            if let known = families[name]?.instruments[labels] { return known }
            let instrument = make()
            families[name, default: Family(kind: kind, help: help)].instruments[labels] = instrument
            return instrument
        }
    }

    private func check(_ name: String, _ labels: Labels, _ known: PrometheusText.Kind, _ kind: PrometheusText.Kind) {
        precondition(PrometheusText.isMetricName(name), "\(name) is no metric name")
        precondition(labels.keys.allSatisfy { PrometheusText.isLabelName($0) && $0 != "le" }, "a label of \(name) has no label name")
        precondition(known == kind, "\(name) is a \(known) and a \(kind)")
    }
}

import CRdkafka
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// What the library calls back, for one client.
struct Callbacks: Sendable {
    var onLog: @Sendable (LibraryLogLine) -> Void = LibraryLogLine.toStandardError
    var onError: @Sendable (KafkaError) -> Void = { _ in }
    var onRebalance: (@Sendable (rd_kafka_resp_err_t, PartitionList) -> Void)?
    var onCommit: (@Sendable (rd_kafka_resp_err_t, PartitionList) -> Void)?
}

/// Owns one `rd_kafka_t`, the library's client with its threads.
final class Handle: Sendable {
    // The library's handle may be used from every thread.
    nonisolated(unsafe) let pointer: OpaquePointer
    private let context: CallbackContext

    /// - Parameter events: bits of the kinds that are polled as events instead of being called back.
    /// - Throws: `.configuration` with the property that is not allowed or that the library refuses.
    convenience init(
        _ type: rd_kafka_type_t, _ configuration: KafkaConfiguration, role: KafkaConfiguration.Role, callbacks: Callbacks, events: Int32 = 0
    ) throws(KafkaError) {
        try configuration.validate()
        try self.init(type, settings: configuration.settings(for: role), callbacks: callbacks, events: events)
    }

    /// - Throws: `.configuration` with the property that the library refuses.
    init(_ type: rd_kafka_type_t, settings: [(name: String, value: String)], callbacks: Callbacks, events: Int32 = 0) throws(KafkaError) {
        let context = CallbackContext(callbacks)
        let conf = try Handle.conf(settings)
        rd_kafka_conf_set_opaque(conf, Unmanaged.passUnretained(context).toOpaque())
        Handle.install(callbacks, in: conf, events: events)
        var text = [CChar](repeating: 0, count: 512)
        guard let pointer = rd_kafka_new(type, conf, &text, text.count) else {
            rd_kafka_conf_destroy(conf)
            throw KafkaError(.configuration, "client: \(text.text)", remedy: "Correct the property in spec.backplane.kafka")
        }
        self.pointer = pointer
        self.context = context
    }

    /// Whether this is an idempotent producer that cannot go on, and why.
    var fatalError: KafkaError? {
        var text = [CChar](repeating: 0, count: 512)
        let number = rd_kafka_fatal_error(pointer, &text, text.count)
        guard number != RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
        return KafkaError(.fatal, "producer: \(text.text)", remedy: KafkaError.Code.fatal.remedy, number: number.rawValue)
    }

    // Ending a client waits for its threads, and whoever let go of it last may be an event loop.
    // The context lives until then, so no callback can find it gone.
    deinit {
        startThread("kafka-end") { [pointer = Unowned(pointer: pointer), context] in
            rd_kafka_destroy(pointer.pointer)
            withExtendedLifetime(context) {}
        }
    }

    /// - Throws: `.configuration` with the property that the library does not know or whose value it refuses.
    static func check(_ settings: [(name: String, value: String)]) throws(KafkaError) { rd_kafka_conf_destroy(try conf(settings)) }

    private static func conf(_ settings: [(name: String, value: String)]) throws(KafkaError) -> OpaquePointer {
        let conf = rd_kafka_conf_new()!
        var text = [CChar](repeating: 0, count: 512)
        for (name, value) in settings where rd_kafka_conf_set(conf, name, value, &text, text.count) != RD_KAFKA_CONF_OK {
            rd_kafka_conf_destroy(conf)
            // The library's own text may repeat the value.
            let why = KafkaConfiguration.isSecret(name) ? "its value is refused" : text.text
            throw KafkaError(.configuration, "property \(name): \(why)", remedy: "Correct it in spec.backplane.kafka.properties")
        }
        return conf
    }

    private static func install(_ callbacks: Callbacks, in conf: OpaquePointer, events: Int32) {
        rd_kafka_conf_set_log_cb(conf) { handle, level, facility, text in
            guard let handle, let opaque = rd_kafka_opaque(handle) else { return }
            CallbackContext.from(opaque).log(level, facility, String(cString: rd_kafka_name(handle)), text)
        }
        if events != 0 { rd_kafka_conf_set_events(conf, events) }
        if events & RD_KAFKA_EVENT_ERROR == 0 {
            rd_kafka_conf_set_error_cb(conf) { handle, number, reason, opaque in
                guard let handle, let opaque else { return }
                CallbackContext.from(opaque).error(handle, rd_kafka_resp_err_t(number), reason)
            }
        }
        if callbacks.onCommit != nil {
            rd_kafka_conf_set_offset_commit_cb(conf) { _, number, partitions, opaque in
                guard let partitions, let opaque else { return }
                CallbackContext.from(opaque).callbacks.onCommit?(number, PartitionList(borrowing: partitions))
            }
        }
        guard callbacks.onRebalance != nil else { return }
        rd_kafka_conf_set_rebalance_cb(conf) { _, number, partitions, opaque in
            guard let partitions, let opaque else { return }
            CallbackContext.from(opaque).callbacks.onRebalance?(number, PartitionList(borrowing: partitions))
        }
    }
}

/// Carries the client's pointer to the thread that ends it.
private struct Unowned: Sendable {
    // Nobody else has it any more.
    nonisolated(unsafe) let pointer: OpaquePointer
}

/// What the library hands back to its callbacks.
private final class CallbackContext: Sendable {
    let callbacks: Callbacks
    private let rate = Mutex(LogRate())

    init(_ callbacks: Callbacks) { self.callbacks = callbacks }

    static func from(_ opaque: UnsafeMutableRawPointer) -> CallbackContext {
        Unmanaged<CallbackContext>.fromOpaque(opaque).takeUnretainedValue()
    }

    func log(_ level: Int32, _ facility: UnsafePointer<CChar>?, _ client: String, _ text: UnsafePointer<CChar>?) {
        let facility = facility.map { String(cString: $0) } ?? ""
        let text = text.map { String(cString: $0) } ?? ""
        // Every producer would begin with this warning about what it is meant to do.
        if facility == "CONFWARN", text.contains("enable.gapless.guarantee is experimental") { return }
        guard let leftOut = rate.withLock({ $0.admit(facility, at: monotonic_ms()) }) else { return }
        callbacks.onLog(
            LibraryLogLine(
                level: .init(rawValue: Int(max(level, 3))) ?? .debug, facility: facility, client: client,
                text: text, leftOut: leftOut))
    }

    func error(_ handle: OpaquePointer, _ number: rd_kafka_resp_err_t, _ reason: UnsafePointer<CChar>?) {
        callbacks.onError(KafkaError(number, String(cString: rd_kafka_name(handle)), detail: reason.map { String(cString: $0) }))
    }
}

extension LibraryLogLine {
    static let toStandardError: @Sendable (LibraryLogLine) -> Void = { line in
        let more = line.leftOut == 0 ? "" : " (\(line.leftOut) lines like it left out)"
        let text = "kafka \(line.level) \(line.client) \(line.facility): \(line.text)\(more)\n"
        _ = text.utf8CString.withUnsafeBytes { write(2, $0.baseAddress, $0.count - 1) }
    }
}

extension [CChar] {
    /// Up to the first zero.
    var text: String { String(decoding: prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) }
}

/// Milliseconds of a clock that never goes back.
func monotonic_ms() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
}

extension Duration {
    /// Whole milliseconds as the library wants them.
    var milliseconds: Int32 {
        let (seconds, attoseconds) = components
        return Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000)
    }
}

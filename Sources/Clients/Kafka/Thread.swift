import CRdkafka

#if canImport(Glibc)
    import Glibc
#endif

/// Runs `body` on a thread of its own, for C calls that block. The thread ends when `body` returns.
///
/// - Parameter name: at most 15 bytes, as `ps -L` shows it.
func startThread(_ name: String, _ body: @escaping @Sendable () -> Void) {
    final class Box {
        let name: String, body: @Sendable () -> Void
        init(_ name: String, _ body: @escaping @Sendable () -> Void) { (self.name, self.body) = (name, body) }
    }
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(name, body))
    let failure = pthread_create(
        &thread, nil,
        { raw in
            let box = Unmanaged<Box>.fromOpaque(raw!).takeRetainedValue()
            cell_kafka_name_thread(box.name)
            box.body()
            return nil
        }, box.toOpaque())
    // Without a thread nothing of this process can go on.
    precondition(failure == 0, "no thread for \(name): error \(failure)")
    pthread_detach(thread)
}

import CLinux
import Glibc

/// The listening socket on its loop.
final class Acceptor: Pollable {
    private let accepted: ([Int32]) -> Void
    /// Given up for a moment when the process has no descriptors left, so that waiting peers are turned away instead of kept.
    private var reserve = open("/dev/null", O_RDONLY | O_CLOEXEC)
    private(set) var isClosed = false

    /// - Parameter accepted: gets the descriptors of a batch; a negative one stands for a peer that was turned away.
    init(descriptor: Int32, accepted: @escaping ([Int32]) -> Void) {
        self.accepted = accepted
        super.init(descriptor: descriptor)
    }

    deinit {
        close()
    }

    override func ready(_ events: UInt32) {
        guard !isClosed else { return }
        var batch: [Int32] = []
        while true {
            let peer = cell_accept4(descriptor, Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue))
            if peer >= 0 {
                batch.append(peer)
            } else if errno == EMFILE || errno == ENFILE {
                guard turnAway() else { break }
                batch.append(-1)
            } else if errno != EINTR && errno != ECONNABORTED {
                break
            }
        }
        if !batch.isEmpty { accepted(batch) }
    }

    private func turnAway() -> Bool {
        guard reserve >= 0 else { return false }
        Glibc.close(reserve)
        let peer = cell_accept4(descriptor, Int32(SOCK_CLOEXEC.rawValue))
        if peer >= 0 { Glibc.close(peer) }
        reserve = open("/dev/null", O_RDONLY | O_CLOEXEC)
        return peer >= 0
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        closeDescriptor()
        if reserve >= 0 { Glibc.close(reserve) }
    }
}

import CLinux
import Glibc

/// Bytes to and from one peer without blocking. Owns its socket. Used on one thread.
public protocol Wire: AnyObject {
    /// What the socket is to be watched for, beside reading: whether the last call could not go on before it is writable.
    var wantsWrite: Bool { get }
    /// Up to `buffer.count` bytes.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> WireResult
    /// Some of `bytes`, from the front.
    func write(_ bytes: UnsafeRawBufferPointer) -> WireResult
    func close()
}

public enum WireResult: Sendable, Equatable {
    case bytes(Int)
    /// Nothing goes until the socket is ready.
    case wait
    case ended
    case failed(String)
}

public final class PlainWire: Wire {
    private var socket: Int32
    public private(set) var wantsWrite = false

    public init(socket: Int32) { self.socket = socket }

    deinit { close() }

    public func read(into buffer: UnsafeMutableRawBufferPointer) -> WireResult {
        let count = Glibc.recv(socket, buffer.baseAddress, buffer.count, 0)
        if count > 0 { return .bytes(count) }
        return count == 0 ? .ended : outcome(errno)
    }

    public func write(_ bytes: UnsafeRawBufferPointer) -> WireResult {
        let count = Glibc.send(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        wantsWrite = count < 0 && errno == EAGAIN
        return count >= 0 ? .bytes(count) : outcome(errno)
    }

    private func outcome(_ code: Int32) -> WireResult {
        code == EAGAIN || code == EINTR ? .wait : .failed(String(cString: strerror(code)))
    }

    public func close() {
        if socket >= 0 { Glibc.close(socket) }
        socket = -1
    }
}

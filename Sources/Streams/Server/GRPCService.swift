/// What answers gRPC calls. One instance for each loop; every method is called on that loop's thread.
public protocol GRPCService: AnyObject {
    /// A call's headers are in. It may be finished at once (UNAUTHENTICATED, UNIMPLEMENTED …).
    /// `metadata` can be asked only in here.
    func begin(_ stream: ServerStream)

    /// One whole gRPC message, without its five-byte prefix. The pointer is valid during the call only.
    func receive(_ message: UnsafeRawBufferPointer, on stream: ServerStream)

    /// The client sends nothing more. The stream can be written until it is finished.
    func halfClosed(_ stream: ServerStream)

    /// Called exactly once for every stream that began, whoever ended it, at the end of the tick in which it ended: never from inside
    /// `finish` or `send`. Afterwards the stream is never mentioned again.
    func ended(_ stream: ServerStream, _ reason: EndReason)
}

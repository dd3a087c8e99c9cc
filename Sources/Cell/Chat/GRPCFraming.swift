/// gRPC's prefix before a message: not compressed, and the length, big-endian.
public func grpcFramed(_ message: [UInt8]) -> [UInt8] {
    let length = UInt32(message.count)
    let prefix = [0] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: length >> $0) }
    return prefix + message
}

import Cell
import Kafka
import Streams

/// What a messaging server tells about itself.
struct MessagingSnapshot: Sendable {
    var report: PartialReport
    var waitsFor: String
    var counters: MessagingCounters
    var streams: StreamCounters
    var opened: Int
    var isNeeded: Bool
    var held: Int
    /// Of these, those that could be answered and wait for their slice.
    var inLine: Int
    /// Clients that are given what they missed.
    var replays: Int
    /// Beside these, those that are slow to take it.
    var slowReplays: Int
    /// Streams that are allowed.
    var limit: Int
    /// Descriptors allow fewer than the settings.
    var isLimitedByDescriptors: Bool
    var flights: Int
    var flightBytes: Int
    var windowBytes: Int
    var windowRecords: Int
    var queuedBytes: Int
    var produceQueue: Producer.Queued?
    var lags: [Partition: Int64]
    /// Of each partition its streams, and its messages since its reading began.
    var tallies: [PartitionLoads.Load]

    init(_ service: MessagingService, _ streams: StreamCounters) {
        let core = service.core
        report = PartialReport(core)
        waitsFor = core.waitsFor.isEmpty ? "" : core.waitsFor + (service.log.trouble.isEmpty ? "" : ": \(service.log.trouble)")
        counters = core.counters
        self.streams = streams
        opened = core.openedCount
        isNeeded = core.isNeeded
        held = core.heldCount
        inLine = core.admission.waiting
        (replays, slowReplays) = (core.admission.replays.count, core.admission.slowReplays.count)
        (limit, isLimitedByDescriptors) = (core.limit, core.limit < core.settings.maxConnections)
        flights = core.tickets.count
        flightBytes = core.flightBytes
        windowBytes = core.windowBytes
        windowRecords = core.partitions.values.reduce(0) { $0 + $1.window.count }
        queuedBytes = service.queuedBytes
        produceQueue = service.log.queued
        lags = service.log.readings.lags
        tallies = core.tallies
    }
}

/// The part of a `Report` that only the core knows.
struct PartialReport: Sendable {
    private let epoch: Epoch, term: Term
    private let log: LogID?
    private let connections: Int, maxConnections: Int
    private let warm: PartitionSet, left: PartitionSet
    private let positions: [String: Int64]

    init(_ core: MessagingCore) {
        (epoch, term, log) = (core.assignment.epoch, core.assignment.term, core.log)
        (connections, maxConnections) = (core.openedCount + core.heldCount, core.limit)
        (warm, left, positions) = (core.warm, core.left, core.positions)
    }

    func fill(_ report: inout Report) {
        report.epoch = epoch
        report.term = term
        report.log = log
        report.connections = connections
        report.maxConnections = maxConnections
        report.warm = warm
        report.left = left
        report.positions = positions
    }
}

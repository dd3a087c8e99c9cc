import Web

extension MessagingSnapshot {
    typealias Reading = (name: String, help: String, kind: PrometheusText.Kind, value: @Sendable (MessagingSnapshot) -> Double)

    /// What `/metrics` shows, behind `cell_messaging_`.
    static let readings: [Reading] = gauges + counters + streamLayer

    private static let gauges: [Reading] = [
        ("streams", "Streams that are open.", .gauge, { Double($0.opened) }),
        ("held", "Opens that are not answered yet.", .gauge, { Double($0.held) }),
        ("in_line", "Opens that wait for their slice.", .gauge, { Double($0.inLine) }),
        ("replays", "Clients that are given what they missed.", .gauge, { Double($0.replays) }),
        ("slow_replays", "Clients that are given what they missed and are slow to take it.", .gauge, { Double($0.slowReplays) }),
        ("stream_limit", "Streams that are allowed.", .gauge, { Double($0.limit) }),
        ("sends_in_flight", "Sends that the log has not answered yet.", .gauge, { Double($0.flights) }),
        ("sends_in_flight_bytes", "Memory of these.", .gauge, { Double($0.flightBytes) }),
        ("window_bytes", "Memory of recent records.", .gauge, { Double($0.windowBytes) }),
        ("window_records", "Recent records that are kept.", .gauge, { Double($0.windowRecords) }),
        ("queued_bytes", "Bytes that wait for slow clients.", .gauge, { Double($0.queuedBytes) }),
        ("producer_queue_records", "Records that the producer has and has not reported.", .gauge, { Double($0.produceQueue?.messages ?? 0) }),
        ("lagging_partitions", "Partitions whose reader is behind the log's end.", .gauge, { Double($0.lags.values.filter { $0 > 0 }.count) }),
        ("lag_records", "How far the reader that is most behind is behind.", .gauge, { Double($0.lags.values.max() ?? 0) }),
    ]

    private static let counters: [Reading] = [
        ("opens_total", "Opens received.", .counter, { Double($0.counters.opens) }),
        ("opened_total", "Opens answered with Opened.", .counter, { Double($0.counters.opened) }),
        ("moved_total", "Moved sent.", .counter, { Double($0.counters.moved) }),
        ("sends_total", "Sends received.", .counter, { Double($0.counters.sends) }),
        ("joins_total", "Sends that joined one in flight.", .counter, { Double($0.counters.joins) }),
        ("acks_total", "Acks sent.", .counter, { Double($0.counters.acks) }),
        ("deliveries_total", "Messages handed to live streams.", .counter, { Double($0.counters.deliveries) }),
        ("replayed_total", "Messages handed to resuming streams.", .counter, { Double($0.counters.replayed) }),
        ("gaps_total", "Gaps announced.", .counter, { Double($0.counters.gaps) }),
        ("records_total", "Records read.", .counter, { Double($0.counters.records) }),
        ("records_skipped_total", "Records read that do not count.", .counter, { Double($0.counters.skipped) }),
        ("ticks_total", "Ticks written.", .counter, { Double($0.counters.ticks) }),
        ("producers_lost_total", "Producers that had to be replaced.", .counter, { Double($0.counters.producersLost) }),
        ("suspect_reports_total", "Delivery reports that contradict what was read.", .counter, { Double($0.counters.suspectReports) }),
    ]

    private static let streamLayer: [Reading] = [
        ("connections", "Connections.", .gauge, { Double($0.streams.openConnections) }),
        ("accepted_total", "Connections accepted.", .counter, { Double($0.streams.accepted) }),
        ("turned_away_total", "Connections closed because there were too many.", .counter, { Double($0.streams.turnedAway) }),
        ("connections_in_line", "Accepted connections whose handshake has not begun.", .gauge, { Double($0.streams.inLine) }),
        ("left_in_line_total", "Connections whose peer had gone before its handshake began.", .counter, { Double($0.streams.leftInLine) }),
        ("received_bytes_total", "Bytes received.", .counter, { Double($0.streams.bytesReceived) }),
        ("sent_bytes_total", "Bytes sent.", .counter, { Double($0.streams.bytesSent) }),
        ("protocol_errors_total", "Connections that broke HTTP/2.", .counter, { Double($0.streams.protocolErrors) }),
        ("greeting_timeouts_total", "Connections that did not finish TLS and HTTP/2's greeting in time.", .counter, { Double($0.streams.greetingTimeouts) }),
        ("tls_failures_total", "Connections whose TLS handshake failed.", .counter, { Double($0.streams.tlsFailures) }),
        ("keepalive_timeouts_total", "Connections whose peer did not answer.", .counter, { Double($0.streams.keepaliveTimeouts) }),
        ("floods_total", "Connections ended because of a flood.", .counter, { Double($0.streams.floods.values.reduce(0, +)) }),
        ("buffer_bytes", "Memory of incomplete frames and unsent rests.", .gauge, { Double($0.streams.openBlockBytes) }),
        ("memory_trims_total", "Times that freed memory was given back to the system.", .counter, { Double($0.streams.trims) }),
        ("memory_trim_seconds_total", "Time that this took; the server may stand still meanwhile.", .counter, { Double($0.streams.trimTime_ns) / 1e9 }),
    ]
}

import Testing

@testable import Web

@Suite("Prometheus's text")
struct PrometheusTextTests {
    @Test("everything that was counted is written, sorted and escaped")
    func text() {
        let metrics = Metrics()
        metrics.counter("b_total", "What\nhappened \\ here.", ["kind": "a\"b\\c\nd"]).add(3)
        metrics.counter("b_total", "What\nhappened \\ here.", ["kind": "a"]).add()
        metrics.gauge("a", "Now.").set(-5)
        metrics.read("c", "Read.", ["z": "1", "y": "2"]) { .infinity }
        let histogram = metrics.histogram("d_seconds", "Took.", bounds: [0.1, 1])
        for milliseconds in [50, 100, 500, 5000] { histogram.observe(.milliseconds(milliseconds)) }
        #expect(
            metrics.text == """
                # HELP a Now.
                # TYPE a gauge
                a -5
                # HELP b_total What\\nhappened \\\\ here.
                # TYPE b_total counter
                b_total{kind="a"} 1
                b_total{kind="a\\"b\\\\c\\nd"} 3
                # HELP c Read.
                # TYPE c gauge
                c{y="2",z="1"} +Inf
                # HELP d_seconds Took.
                # TYPE d_seconds histogram
                d_seconds_bucket{le="0.1"} 2
                d_seconds_bucket{le="1"} 3
                d_seconds_bucket{le="+Inf"} 4
                d_seconds_sum 5.65
                d_seconds_count 4

                """)
    }

    @Test("the same name gives the same counter, and what is removed is gone")
    func identity() {
        let metrics = Metrics()
        metrics.counter("a_total", "A.").add(2)
        metrics.counter("a_total", "A.").add(3)
        #expect(metrics.counter("a_total", "A.").value == 5)
        metrics.remove("a_total", [:])
        #expect(metrics.text == "")
    }

    @Test(
        "names are checked",
        arguments: [
            ("a", true, true), ("_a9", true, true), ("a:b", true, false), ("__a", true, false), ("9a", false, false), ("a-b", false, false), ("", false, false),
            ("ä", false, false),
        ])
    func names(_ name: String, _ metric: Bool, _ label: Bool) {
        #expect(PrometheusText.isMetricName(name) == metric)
        #expect(PrometheusText.isLabelName(name) == label)
    }

    @Test("counting from many threads loses nothing")
    func concurrent() async {
        let metrics = Metrics()
        let counter = metrics.counter("a_total", "A.")
        let histogram = metrics.histogram("b", "B.", bounds: [1])
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<10_000 {
                        counter.add()
                        histogram.observe(1)
                    }
                }
            }
        }
        #expect(counter.value == 80_000)
        #expect(histogram.snapshot.cumulative == [80_000, 80_000])
    }
}

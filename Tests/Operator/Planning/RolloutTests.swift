import Cell
import Testing

@testable import Operator

extension OperatorTests {
    @Suite("Rolling upgrades")
    struct RolloutTests {
        /// At rest since long ago, so that nothing is young.
        private func settled(_ spec: CellSpec) -> World {
            var world = World(spec)
            expectSettles(&world)
            world.now = world.now + .seconds(600)
            world.look()
            return world
        }

        private func spec(servers: Int = 3, standbys: Int = 1, batch: Int = 1) -> CellSpec {
            World.spec(servers: servers, standbys: standbys) {
                $0.rollout.batch = batch
                $0.rollout.readyWithin = .seconds(10)
            }
        }

        private func change(_ spec: inout CellSpec, to version: String) {
            guard case .process(var process) = spec.run else { return }
            process.environment["VERSION"] = version
            spec.run = .process(process)
        }

        private func templates(_ world: World) -> Set<String> { Set((world.observed.servers ?? []).filter { !$0.isGone }.map(\.template)) }
        private func new(_ world: World) -> [RunningServer] {
            (world.observed.servers ?? []).filter { $0.state == .running && $0.template == world.spec.template(restarts: world.observed.wishes.restarts) }
        }
        private func owned(_ world: World) -> Int { world.owners.reduce(0) { $0 + $1.member.owns.count } }

        @Test("every server is replaced, a batch at a time, and nobody is without an owner", arguments: [(3, 1, 1), (4, 0, 1), (6, 2, 3), (1, 0, 1)])
        func upgrade(_ servers: Int, _ standbys: Int, _ batch: Int) {
            var world = settled(spec(servers: servers, standbys: standbys, batch: batch))
            change(&world.spec, to: "2")
            expectSettles(&world, within: .seconds(600)) { world in
                #expect(owned(world) == 720)
                let messaging = (world.observed.servers ?? []).filter { $0.life.id.kind == .messaging && !$0.isGone }
                #expect(messaging.count <= servers + standbys + 2 * batch, "at most a batch beside the fleet, and one on its way out")
                let ready = world.messaging.count { world.servers[$0.id] != nil }
                #expect(ready >= servers + standbys, "the fleet is never smaller")
            }
            #expect(templates(world) == [world.spec.template(restarts: 0)])
            let ports = (world.observed.servers ?? []).filter { $0.life.id.kind == .connect && !$0.isGone }.compactMap(\.port)
            #expect(ports == [world.spec.connect.port], "clients find it where it was")
            #expect(world.owners.count == servers && world.messaging.count == servers + standbys)
            #expect(world.pass0.findings.isEmpty)
        }

        @Test("asked to restart, a cell does the same")
        func restart() {
            var world = settled(spec())
            let before = Set(world.servers.values.map(\.life))
            world.observed.wishes.restarts = 1
            expectSettles(&world, within: .seconds(600)) { world in #expect(owned(world) == 720) }
            #expect(before.isDisjoint(with: world.servers.values.map(\.life)))
        }

        @Test("one that is never ready stops it: one surplus server of a kind, told by name, the fleet as it was; the fix heals it")
        func neverReady() {
            var world = settled(spec())
            let before = Set(world.servers.values.map(\.life))
            world.birth = nil
            change(&world.spec, to: "bad")
            var most = 0
            for _ in 0..<900 {
                world.look()
                for _ in 0..<5 where !world.pass().steps.isEmpty {}
                most = max(most, new(world).count)
                world.now = world.now + .milliseconds(100)
            }
            #expect(most == 1)
            #expect(before.isSubset(of: Set(world.servers.values.map(\.life))), "whoever served serves on")
            let finding = world.pass0.findings.first { $0.reason == "RolloutStopped" }
            #expect(finding?.text.contains("history-1 is not replaced: history-2 of the new template") == true, "\(world.pass0.findings)")

            world.birth = .milliseconds(200)
            change(&world.spec, to: "3")
            expectSettles(&world, within: .seconds(600))
            #expect(templates(world) == [world.spec.template(restarts: 0)], "also the bad one is gone")
        }

        @Test("a build that exits at once: one try at a time, and the fleet serves on; undone, all is as before")
        func exits() {
            var world = settled(spec())
            let good = world.spec
            let before = Set(world.servers.values.map(\.life))
            world.birth = nil
            change(&world.spec, to: "bad")
            let born = world.born
            for _ in 0..<600 {
                world.look()
                for server in new(world) { world.kill(server.life.id, reason: "exit code 1") }
                world.pass()
                #expect(new(world).count <= 1)
                world.now = world.now + .milliseconds(100)
            }
            #expect(world.born - born < 12)
            #expect(before.isSubset(of: Set(world.servers.values.map(\.life))))
            #expect(world.pass0.findings.contains { $0.reason == "RolloutStopped" && $0.text.contains("exit code 1") }, "\(world.pass0.findings)")
            world.spec = good
            world.birth = .milliseconds(200)
            expectSettles(&world)
            #expect(Set(world.servers.values.map(\.life)) == before)
        }

        @Test("one that is ready and dies later stops it too, after one")
        func diesLater() {
            var world = settled(spec(servers: 4, standbys: 1))
            // Services first, so that messaging is next.
            change(&world.spec, to: "bad")
            for _ in 0..<1_500 {
                world.look()
                for server in new(world) where server.life.id.kind == .messaging && world.now - server.started > .seconds(8) {
                    world.kill(server.life.id, reason: "exit code 3")
                }
                for _ in 0..<5 where !world.pass().steps.isEmpty {}
                #expect(new(world).filter { $0.life.id.kind == .messaging }.count <= 2)
                world.now = world.now + .milliseconds(100)
            }
            #expect(world.pass0.findings.contains { $0.reason == "RolloutStopped" && $0.text.contains("exit code 3") })
            let old = (world.observed.servers ?? []).count {
                $0.state == .running && $0.life.id.kind == .messaging && $0.template != world.spec.template(restarts: 0)
            }
            #expect(old >= 4, "one of five was replaced, \(old) are left")
        }

        @Test("changed again and again in its middle, it ends at the last")
        func changesOfMind() {
            var world = settled(spec(servers: 4, standbys: 1))
            for version in ["2", "3", "4", "1"] {
                change(&world.spec, to: version)
                for _ in 0..<130 {
                    world.look()
                    for _ in 0..<5 where !world.pass().steps.isEmpty {}
                    world.now = world.now + .milliseconds(100)
                }
                #expect(owned(world) == 720)
            }
            expectSettles(&world, within: .seconds(600))
            #expect(templates(world) == [world.spec.template(restarts: 0)])
        }

        @Test("paused, no further server is replaced; resumed, it goes on")
        func pause() {
            var world = settled(spec(servers: 4, standbys: 1))
            world.observed.wishes.isRolloutPaused = true
            change(&world.spec, to: "2")
            for _ in 0..<200 {
                world.look()
                world.pass()
                world.now = world.now + .milliseconds(100)
            }
            #expect(new(world).isEmpty)
            #expect(world.pass0.findings.contains { $0.reason == "RolloutPaused" })
            world.observed.wishes.isRolloutPaused = false
            expectSettles(&world, within: .seconds(600))
            #expect(templates(world) == [world.spec.template(restarts: 0)])
        }

        @Test("servers whose template nobody knows are left alone")
        func unknown() {
            var world = settled(spec())
            world.observed.servers = world.observed.servers?.map { server in
                var server = server
                server.template = ""
                return server
            }
            change(&world.spec, to: "2")
            #expect(world.pass0.steps.isEmpty)
        }
    }
}

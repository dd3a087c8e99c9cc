import Cell
import Operator

/// What is generally hard at the moment. Counts: how many causes there are.
struct Climate {
    enum Notices: Equatable { case prompt, lost, doubled, late }
    enum Birth: Equatable {
        case usual, slow
        /// Reports, and never becomes ready while this lasts.
        case never
        /// Says nothing, for ever.
        case mute
        case crashes
        /// Becomes ready, and dies soon after.
        case diesYoung
    }

    var notices = Notices.prompt
    var birth = Birth.usual
    var startsFail = 0
    var slowNetwork = 0
    var lostReplies = 0
    var slowWarming = 0
    var kafkaAway = 0
    var topicIsNew = false
    private var unborn: [ServerModel] = []

    func spawn_us(_ random: inout Seeded) -> Int64 { random.pick(5_000...(birth == .slow ? 8_000_000 : 200_000)) }

    func warm_us(_ random: inout Seeded) -> Int64 {
        if slowWarming > 0 { return random.pick(1_000_000...25_000_000) }
        return random.once(in: 8) ? random.pick(500_000...5_000_000) : random.pick(20_000...600_000)
    }

    /// Decides how `server` will be born.
    mutating func bear(_ server: ServerModel, in world: World) {
        let usual_us = world.random.pick(250_000...1_500_000)
        switch birth {
        // Whoever was to crash becomes ready, when what made servers crash has ended before.
        case .usual, .crashes, .diesYoung: server.readyAt_us = world.now_us + usual_us
        case .slow: server.readyAt_us = world.now_us + world.random.pick(4_000_000...40_000_000)
        case .never: unborn.append(server)
        case .mute: server.isMute = true
        }
        switch birth {
        case .crashes: world.after(world.random.pick(50_000...3_000_000)) { if world.climate.birth == .crashes { server.exit("it exited with code 1") } }
        case .diesYoung:
            world.after(usual_us + world.random.pick(3_000_000...20_000_000)) {
                if world.climate.birth == .diesYoung { server.exit("signal 11 (Segmentation fault) ended it") }
            }
        default: break
        }
    }

    /// What kept servers from being ready is mended.
    mutating func endBirth(in world: World) {
        birth = .usual
        for server in unborn { server.readyAt_us = world.now_us + world.random.pick(100_000...1_000_000) }
        unborn = []
    }
}

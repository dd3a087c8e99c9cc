import Blackboard
import Cell
import FoundationEssentials
import Operator

extension Verb {
    static let plan = Verb(
        name: "plan", summary: "Tells what apply would do: servers, partitions and clients that change, and for how long.",
        usage: ["plan -f FILE [-o json]"],
        about: """
            Runs the operator's own planner on a model of the present cell until it rests: which servers would start and stop, how many partitions and connected \
            clients would move, and roughly for how long, if nothing fails, a server is ready 2 s after its start and warm after 1 s more. Nothing is written.

            Ends with exit code 0 when apply would change nothing, and with 6 when it would. What `-o json` prints is a plan that `apply --plan FILE` carries out, \
            unless the cell is another by then.
            """,
        options: [.file, .output],
        examples: [
            ("cellctl plan -f cell.yaml", "what would happen"),
            ("cellctl plan -f cell.yaml -o json > plan.json", "keep it, look at it, and then:"),
            ("cellctl apply --plan plan.json", "do exactly that"),
        ],
        run: { call, terminal in
            let paths = call.values(.file) + call.words
            guard !paths.isEmpty else { throw Failure.usage("plan needs a file", remedy: "Write: cellctl plan -f FILE") }
            let format = try OutputFormat(call)
            let wishes = try WishedCell.read(paths)
            let session = try Session(call)
            var plans: [CellPlan] = []
            for wish in wishes { plans.append(try await session.plan(wish)) }
            switch format {
            case .json: terminal.say(try prettyJSON(PlanFile(plans: plans)))
            case .yaml: throw Failure.usage("plan prints no yaml", remedy: "Write -o json")
            default: for line in plans.flatMap({ $0.lines(isWide: format == .wide) }) { terminal.say(line) }
            }
            if plans.contains(where: { $0.change != .unchanged }) { throw Failure(.changed, lines: []) }
        })
}

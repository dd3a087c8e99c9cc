import Glibc
import Operator
import Processes

Signals.block()
var environment: [String: String] = [:]
if let redis = getenv("CELL_REDIS") { environment["CELL_REDIS"] = String(cString: redis) }
exit(await OperatorMain.run(Array(CommandLine.arguments.dropFirst()), environment: environment))

import FoundationEssentials
import Servers

ServerMain.run(
    Array(CommandLine.arguments.dropFirst()), environment: ProcessInfo.processInfo.environment,
    makers: [
        .backplane: BackplaneServer.maker,
        .connect: ConnectServer.maker,
        .history: HistoryServer.maker,
        .materialize: MaterializeServer.maker,
        .messaging: MessagingServer.maker,
    ])

import Support
import Testing

@testable import Operator

/// The program that stands for a server in the contract's tests: static, so that an image of it needs nothing else.
struct TrialProgram {
    private static let source = """
        #include <signal.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>

        static void stop(int signal) { _exit(0); }

        int main(int count, char **arguments) {
            const char *does = getenv("TRIAL");
            if (count > 1 && !strcmp(arguments[1], "ready")) return 1;
            signal(SIGTERM, does && !strcmp(does, "stubborn") ? SIG_IGN : stop);
            for (int at = 1; at < count; at++) printf("%s ", arguments[at]);
            printf("\\n");
            fflush(stdout);
            if (does && !strcmp(does, "fails")) {
                fprintf(stderr, "no such port\\n");
                return 7;
            }
            for (;;) pause();
        }
        """

    let path: String

    /// Compiles it into `folder`.
    init(in folder: TemporaryFolder) async throws {
        path = folder.file("cell-server")
        try folder.write(Self.source, to: "server.c")
        let outcome = try await ChildProcess.run("cc", ["-static", "-Os", "-o", path, folder.file("server.c")], within: .seconds(120))
        try #require(outcome.exit == .code(0), "\(outcome.errors)")
    }
}

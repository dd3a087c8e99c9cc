import Testing

/// One after the other: they measure times, and the seeded ones take a whole core.
@Suite("The operator", .serialized)
struct OperatorTests {}

/// The one of `candidates` that a hand could have meant by `word`: fewest letters changed, added, left out or swapped, and no more than a
/// third of it. Nil when none is near.
public func nearest(to word: String, among candidates: [String]) -> String? {
    guard word.utf8.count <= 64 else { return nil }
    let scored = candidates.map { (distance: distance(Array(word.lowercased().utf8), Array($0.lowercased().utf8)), name: $0) }
    guard let best = scored.min(by: { ($0.distance, $0.name) < ($1.distance, $1.name) }) else { return nil }
    return best.distance <= max(1, min(word.utf8.count, best.name.utf8.count) / 3) ? best.name : nil
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
private func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var rows = [[Int]](repeating: [Int](repeating: 0, count: b.count + 1), count: a.count + 1)
    for i in 0...a.count { rows[i][0] = i }
    for j in 0...b.count { rows[0][j] = j }
    for i in 0..<a.count {
        for j in 0..<b.count {
            rows[i + 1][j + 1] = min(rows[i][j + 1] + 1, rows[i + 1][j] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { rows[i + 1][j + 1] = min(rows[i + 1][j + 1], rows[i - 1][j - 1] + 1) }
        }
    }
    return rows[a.count][b.count]
}

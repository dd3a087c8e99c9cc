import Cell

/// A file's text as UTF-8, without byte order mark.
struct SourceText {
    let file: String
    let utf8: [UInt8]

    /// - Throws: at the first byte that is no UTF-8, or, after a byte order mark of UTF-16, no UTF-16.
    init(_ bytes: [UInt8], file: String) throws(SpecProblem) {
        self.file = file
        switch bytes.prefix(2) {
        case [0xff, 0xfe]: utf8 = try Self.utf8(ofUTF16: bytes.dropFirst(2), file) { UInt16($0) | UInt16($1) << 8 }
        case [0xfe, 0xff]: utf8 = try Self.utf8(ofUTF16: bytes.dropFirst(2), file) { UInt16($0) << 8 | UInt16($1) }
        default: utf8 = Array(bytes.starts(with: [0xef, 0xbb, 0xbf]) ? bytes.dropFirst(3) : bytes[...])
        }
        guard String(validating: utf8, as: UTF8.self) == nil else { return }
        throw SpecProblem(mark(atByte: Self.validPrefix(of: utf8)), "", "the text is not UTF-8 here", remedy: "Save the file as UTF-8")
    }

    private static func utf8(ofUTF16 bytes: ArraySlice<UInt8>, _ file: String, unit: (UInt8, UInt8) -> UInt16) throws(SpecProblem) -> [UInt8] {
        let units = stride(from: bytes.startIndex, to: bytes.endIndex - 1, by: 2).map { unit(bytes[$0], bytes[$0 + 1]) }
        guard bytes.count % 2 == 0, let text = String(validating: units, as: UTF16.self) else {
            throw SpecProblem(Mark(file: file, line: 1, column: 1), "", "the file begins as UTF-16 but is none", remedy: "Save the file as UTF-8")
        }
        return Array(text.utf8)
    }

    private static func validPrefix(of bytes: [UInt8]) -> Int {
        var low = 0
        var high = bytes.count
        // Whether a prefix is valid only falls: one that ends inside a character counts as valid up to that character.
        while low < high {
            let middle = (low + high + 1) / 2
            let ends = (max(0, middle - 3)...middle).reversed()
            if ends.contains(where: { String(validating: bytes[..<$0], as: UTF8.self) != nil }) { low = middle } else { high = middle - 1 }
        }
        return (max(0, low - 3)...low).reversed().first { String(validating: bytes[..<$0], as: UTF8.self) != nil } ?? 0
    }

    /// Line and column, in characters, of the byte at `offset`.
    func mark(atByte offset: Int) -> Mark {
        let before = utf8.prefix(offset)
        let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        let line = before.count { $0 == UInt8(ascii: "\n") } + 1
        let column = before[lineStart...].count { $0 & 0xc0 != 0x80 } + 1
        return Mark(file: file, line: line, column: column)
    }

    /// The column of a tab among the spaces that line `line` begins with.
    func tabInIndentation(ofLine line: Int) -> Int? {
        var lines = utf8.split(separator: UInt8(ascii: "\n"), maxSplits: line, omittingEmptySubsequences: false)
        guard lines.count >= line, line > 0 else { return nil }
        lines = [lines[line - 1]]
        let indentation = lines[0].prefix { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        return indentation.firstIndex(of: UInt8(ascii: "\t")).map { $0 - lines[0].startIndex + 1 }
    }
}

/// Which build this is.
public enum Build {
    /// As `cellctl version`, reports and `/statusz` tell it.
    public static let version = "0.1.0"
}

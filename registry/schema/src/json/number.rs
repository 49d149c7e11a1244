//! Numbers as Java prints them.

/// Prints a double as `Double.toString` does: plain between 0.001 and 10 000 000, else with an exponent; always a fraction.
pub(super) fn write_double(value: f64, out: &mut String) {
    if value.is_nan() || value.is_infinite() {
        // Jackson quotes what JSON has no number for.
        let name = match (value.is_nan(), value > 0.0) {
            (true, _) => "\"NaN\"",
            (false, true) => "\"Infinity\"",
            (false, false) => "\"-Infinity\"",
        };
        out.push_str(name);
        return;
    }
    let magnitude = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&magnitude) {
        let plain = format!("{value}");
        out.push_str(&plain);
        if !plain.contains('.') {
            out.push_str(".0");
        }
        return;
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    out.push_str(digits);
    if !digits.contains('.') {
        out.push_str(".0");
    }
    out.push('E');
    out.push_str(exponent);
}

/// The canonical digits of an integer: no minus before zero.
pub(super) fn integer(digits: &str) -> String {
    if digits == "-0" { "0".to_owned() } else { digits.to_owned() }
}

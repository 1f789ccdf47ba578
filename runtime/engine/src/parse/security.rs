//! Options of a container's security.

use super::Parsed;
use super::words::boolean;

/// One `--security-opt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecurityOption {
    /// Setuid programs and file capabilities give nothing.
    NoNewPrivileges(bool),
    /// No seccomp filter.
    Unconfined,
    /// The filter that every container has.
    BuiltIn,
    /// A filter of the user's: a file, which a front reads.
    ProfileFile(String),
    /// The same: what stands in the file.
    Profile(String),
    /// Nothing of `/proc` and `/sys` is hidden or read-only.
    OpenPaths,
    /// It can change its cgroups.
    WritableCgroups(bool),
    /// A profile of AppArmor; absent: none.
    AppArmor(Option<String>),
    /// A part of SELinux's label; absent: none.
    Label(Option<String>),
}

/// `no-new-privileges[=true|false]`, `seccomp=unconfined|builtin|FILE`, `systempaths=unconfined`,
/// `writable-cgroups=true|false`, `apparmor=…`, `label=…`; a colon stands for `=`, as with Docker.
pub fn security_option(text: &str) -> Parsed<SecurityOption> {
    let at = text.find(['=', ':']);
    let (key, value) = at.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])));
    match (key, value) {
        ("no-new-privileges", value) => boolean(value.unwrap_or("true")).map(SecurityOption::NoNewPrivileges),
        ("seccomp", Some("unconfined")) => Ok(SecurityOption::Unconfined),
        ("seccomp", Some("builtin")) => Ok(SecurityOption::BuiltIn),
        ("seccomp", Some(file)) if !file.is_empty() => Ok(SecurityOption::ProfileFile(file.to_owned())),
        ("systempaths", Some("unconfined")) => Ok(SecurityOption::OpenPaths),
        ("writable-cgroups", value) => boolean(value.unwrap_or("true")).map(SecurityOption::WritableCgroups),
        ("apparmor", Some("unconfined")) => Ok(SecurityOption::AppArmor(None)),
        ("apparmor", Some(profile)) if !profile.is_empty() => Ok(SecurityOption::AppArmor(Some(profile.to_owned()))),
        ("label", Some("disable")) => Ok(SecurityOption::Label(None)),
        ("label", Some(label)) if is_label(label) => Ok(SecurityOption::Label(Some(label.to_owned()))),
        _ => Err("known are no-new-privileges[=false], seccomp=unconfined|builtin|FILE, systempaths=unconfined, \
                  writable-cgroups=true, apparmor=PROFILE, label=disable|user:…|role:…|type:…|level:…"
            .into()),
    }
}

fn is_label(text: &str) -> bool {
    let parts = ["user", "role", "type", "level", "filetype"];
    text == "nested" || text.split_once(':').is_some_and(|(part, value)| parts.contains(&part) && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_with_an_equals_sign_or_a_colon() {
        assert_eq!(security_option("no-new-privileges"), Ok(SecurityOption::NoNewPrivileges(true)));
        assert_eq!(security_option("no-new-privileges:false"), Ok(SecurityOption::NoNewPrivileges(false)));
        assert_eq!(security_option("seccomp:unconfined"), Ok(SecurityOption::Unconfined));
        assert_eq!(security_option("seccomp=./a:b"), Ok(SecurityOption::ProfileFile("./a:b".into())));
        assert_eq!(security_option("label=type:t"), Ok(SecurityOption::Label(Some("type:t".into()))));
        assert_eq!(security_option("apparmor=unconfined"), Ok(SecurityOption::AppArmor(None)));
        for bad in ["", "seccomp=", "label=x", "systempaths=some", "no-new-privileges=x", "apparmor"] {
            assert!(security_option(bad).is_err(), "{bad}");
        }
    }
}

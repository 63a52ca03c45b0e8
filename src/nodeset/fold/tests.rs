use super::fold;

#[track_caller]
fn check(names: &str, folded: &str) {
    assert_eq!(fold(names.split_whitespace()), folded);
}

// What ClusterShell 1.10 answers to the same names.
#[test]
fn runs_become_ranges() {
    check("vm01", "vm01");
    check("vm01 vm02 vm03 vm07 web01", "vm[01-03,07],web01");
    check("vm03 vm01 vm02", "vm[01-03]");
    check("n9 n10 n11", "n[9-11]");
    check("n98 n99 n100", "n[98-100]");
    check("n1 n3", "n[1,3]");
    check("n0 n1", "n[0-1]");
}

#[test]
fn padding_is_kept_apart() {
    check("n1 n01 n001", "n[1,01,001]");
    check("n1 n01 n02 n3", "n[1,3,01-02]");
    check("n08 n09 n10", "n[08-10]");
    check("n9 n09 n10", "n[9,09-10]");
    check("n98 n99 n100 n098", "n[98-99,098,100]");
    check("n8 n9 n10 n09", "n[8-9,09-10]");
    check("n08 n09 n10 n99 n100", "n[08-10,99-100]");
}

#[test]
fn several_numbers_fold() {
    check("rack1-n1 rack1-n2 rack2-n1 rack2-n2", "rack[1-2]-n[1-2]");
    check("rack1-n1 rack1-n2 rack2-n1", "rack1-n[1-2],rack2-n1");
    check("1-1 2-2 3-3", "1-1,2-2,3-3");
    check("n1-ib n2-ib", "n[1-2]-ib");
    check("1 2 3", "[1-3]");
    check("a1b10 a1b9 a2b9 a2b10 a3b1", "a[1-2]b[9-10],a3b1");
}

#[test]
fn names_without_a_number_stay() {
    check("web db", "db,web");
    check("n n1 n2", "n,n[1-2]");
    check("", "");
    let (long, longer) = ("9".repeat(38), "9".repeat(39));
    check(&format!("n{longer}"), &format!("n{longer}"));
    check(&format!("n{long} n{longer}-1 n{longer}-2"), &format!("n{long},n{longer}-[1-2]"));
}

#[test]
fn nothing_takes_long() {
    let diagonal: Vec<String> = (0..20_000).map(|n| format!("r{n}-n{n}")).collect();
    assert_eq!(fold(diagonal.iter().map(String::as_str)).split(',').count(), 20_000);
    let grid: Vec<String> = (0..100_000).map(|n| format!("r{}-n{}", n / 10, n % 10)).collect();
    assert_eq!(fold(grid.iter().map(String::as_str)), "r[0-9999]-n[0-9]");
    let tall: Vec<String> = (0..100_000).map(|n| format!("r{}-n{}", n % 10, n / 10)).collect();
    assert_eq!(fold(tall.iter().map(String::as_str)), "r[0-9]-n[0-9999]");
}

use super::*;

#[track_caller]
fn literal(text: &str, expected: &[(usize, &[&str])]) {
    let commands = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    let found: Vec<_> = commands.iter().map(|it| (it.offset, it.words.clone())).collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(offset, words)| (*offset, words.iter().map(|word| (*word).to_owned()).collect()))
        .collect();
    assert_eq!(found, expected, "{text:?}");
}

#[track_caller]
fn dynamic(text: &str, what: DynamicKind, token: &str, offset: usize) {
    let expected = Dynamic { what, token: token.into(), offset };
    assert_eq!(parse(text), Err(expected), "{text:?}");
}

#[test]
fn simple_commands_and_what_joins_them() {
    literal("uptime", &[(0, &["uptime"])]);
    literal("  /bin/ls\t-l  /tmp ", &[(2, &["/bin/ls", "-l", "/tmp"])]);
    literal(
        "a;b\nc&&d||e|f",
        &[(0, &["a"]), (2, &["b"]), (4, &["c"]), (7, &["d"]), (10, &["e"]), (12, &["f"])],
    );
    literal("\n\n ! a | b ;\n! c\n", &[(5, &["a"]), (9, &["b"]), (15, &["c"])]);
    literal("a &&\n\n b |\n c;", &[(0, &["a"]), (7, &["b"]), (12, &["c"])]);
    literal(
        "a if then ] a]b x=y --p=q a#b a:b @c ,d %e +f 2",
        &[(
            0,
            &[
                "a", "if", "then", "]", "a]b", "x=y", "--p=q", "a#b", "a:b", "@c", ",d", "%e",
                "+f", "2",
            ],
        )],
    );
}

#[test]
fn quotes_are_removed() {
    literal(r#"a 'b  c' "d  e" f\ g"#, &[(0, &["a", "b  c", "d  e", "f g"])]);
    literal(r#"'a'"b"\c'' '' "" x''"#, &[(0, &["abc", "", "", "x"])]);
    literal(
        r#"a '$x `y` \ "' "'\$\`\"\\\x!" \$\`\"\'\\\;\*\{\~"#,
        &[(0, &["a", r#"$x `y` \ ""#, r#"'$`"\\x!"#, r#"$`"'\;*{~"#])],
    );
    literal(
        "a 'x\n\ty' 'ü' \"é\"''#z '! # {} ~'",
        &[(0, &["a", "x\n\ty", "ü", "é#z", "! # {} ~"])],
    );
}

#[test]
fn what_only_the_host_knows() {
    use DynamicKind::*;
    dynamic("echo $HOME/x", Variable, "$HOME", 5);
    dynamic("echo \"a ${x:-y}\"", Variable, "${x:-y}", 8);
    dynamic("echo a$", Variable, "$", 6);
    dynamic("a; $(id)", CommandSubstitution, "$(", 3);
    dynamic("\"`id`\"", CommandSubstitution, "`", 1);
    dynamic("echo $((1))", Arithmetic, "$((", 5);
    dynamic("echo $'a'", DollarQuote, "$'", 5);
    dynamic("ls *.c", Glob, "*", 3);
    dynamic("/bin/l?", Glob, "?", 6);
    dynamic("[ -f x ]", Glob, "[", 0);
    dynamic("ls ~root", Tilde, "~root", 3);
    dynamic("ls a=~", Tilde, "~", 5);
    dynamic("ls {a,b}", Brace, "{", 3);
}

#[test]
fn what_no_argument_shows() {
    use DynamicKind::*;
    dynamic("a 2>&1", Redirection, ">&", 3);
    dynamic("a &>x", Redirection, "&>", 2);
    dynamic("a<<E\nE", HereDocument, "<<", 1);
    dynamic("a <<<x", HereDocument, "<<<", 2);
    dynamic("a <(b)", ProcessSubstitution, "<(", 2);
    dynamic("a =(b)", ProcessSubstitution, "=(", 2);
    dynamic("A=b c", Assignment, "A=b", 0);
    dynamic("a; 'B'=c d", Assignment, "'B'=c", 3);
    dynamic("a & b", Background, "&", 2);
    dynamic("a |& b", Extension, "|&", 2);
    dynamic("a =ls", Extension, "=ls", 2);
    dynamic("a # b\nc", Comment, "# b", 2);
    dynamic("a \\\nb", Continuation, "\\\\n", 2);
    dynamic("a \"b\\\nc\"", Continuation, "\\\\n", 4);
}

#[test]
fn what_is_no_program() {
    use DynamicKind::*;
    dynamic("if a; then b; fi", Reserved, "if", 0);
    dynamic("time ls", Reserved, "time", 0);
    dynamic("a && 'eval' b", Builtin, "'eval'", 5);
    dynamic("cd /tmp; ls", Builtin, "cd", 0);
    dynamic("/opt/ast/bin/cat x", Builtin, "/opt/ast/bin/cat", 0);
    dynamic("-c id", Sign, "-c", 0);
    dynamic("a; %1", Sign, "%1", 3);
    dynamic("'' a", EmptyName, "''", 0);
    dynamic("f() { a; }", Parenthesis, "(", 1);
    dynamic("(a)", Parenthesis, "(", 0);
    dynamic("{ a; }", Brace, "{", 0);
}

#[test]
fn what_makes_no_command() {
    use DynamicKind::*;
    for empty in ["", " ", "\n \t\n"] {
        dynamic(empty, Empty, "", 0);
    }
    for (text, token, offset) in
        [(";", ";", 0), ("a;;b", ";", 2), ("| a", "|", 0), ("a | ! b", "!", 4), ("! ! a", "!", 2)]
    {
        dynamic(text, Syntax, token, offset);
    }
    for text in ["a &&", "a |\n", "!", "a; !"] {
        dynamic(text, Syntax, "", text.len());
    }
    dynamic("!\na", Syntax, "\\n", 1);
    dynamic("a !", History, "!", 2);
    dynamic("!! a", History, "!", 0);
    dynamic("a; 'b", Unbalanced, "'", 3);
    dynamic("a \"b\\\"", Unbalanced, "\"", 2);
    dynamic("a \\", Unbalanced, "\\", 2);
}

#[test]
fn characters_that_deceive() {
    use DynamicKind::*;
    dynamic("a\r", Control, "\\u{d}", 1);
    dynamic("a 'b\0'", Control, "\\u{0}", 4);
    dynamic("a \"\u{7f}\"", Control, "\\u{7f}", 3);
    dynamic("a \\\u{b}", Control, "\\u{b}", 3);
    dynamic("a\u{a0}b", Blank, "\\u{a0}", 1);
    dynamic("a '\u{3000}'", Blank, "\\u{3000}", 3);
    dynamic("a \"\u{85}\"", Blank, "\\u{85}", 3);
    dynamic("a \u{202e}", Hidden, "\\u{202e}", 2);
    dynamic("a '\u{200b}'", Hidden, "\\u{200b}", 3);
    dynamic("a é", NonAscii, "é", 2);
    dynamic("a \\é", NonAscii, "é", 3);
    dynamic("a \"é\\\\\"", NonAscii, "é", 3);
}

#[test]
fn a_refusal_names_token_place_and_reason() {
    let error = parse("cat $HOME/x").unwrap_err();
    let told = "`$HOME` at byte 4: a variable, whose value only the host knows";
    assert_eq!(error.to_string(), told);
    assert_eq!(parse(" ").unwrap_err().to_string(), "there is no command in the text");
    let long = parse(&format!("{}=", "x".repeat(1000))).unwrap_err();
    assert_eq!(long.token, format!("{}…", "x".repeat(40)));
}

#[test]
fn a_long_text_is_read_in_one_pass() {
    let many = "a b; ".repeat(100_000);
    assert_eq!(parse(&many).unwrap().len(), 100_000);
    assert_eq!(parse(&format!("a {}", "\\'".repeat(500_000))).unwrap()[0].words[1].len(), 500_000);
    for start in ["'", "\"", "((", "a|", "!", "\\"] {
        let _ = parse(&start.repeat(500_000));
    }
}

use std::ffi::OsString;

use super::*;
use crate::ids::VmId;
use crate::policy::HostView;

fn found(action: ActionView<'_>, sudo: Option<&str>, stdin_given: bool) -> Option<String> {
    let host: VmId = "vm01".parse().unwrap();
    let request = Request {
        operator: "alice",
        os_user: None,
        host: HostView { id: &host, allowed: true, groups: &[], tags: &[], reached: None },
        action,
        shell: None,
        run_as: sudo,
        env: &[],
        cwd: None,
        stdin_given,
        allow_interactive: false,
        allow_threat: false,
    };
    find(&request).map(|finding| finding.program)
}

/// Checks shell texts, one a line, each before `=>` and the program found in it;
/// `\n` in a text is a newline.
#[track_caller]
fn refused(table: &str) {
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (text, program) = line.rsplit_once(" => ").unwrap();
        let text = text.trim().replace("\\n", "\n");
        let got = found(ActionView::Shell(&text), None, false);
        assert_eq!(got.as_deref(), Some(program), "{text}");
    }
}

/// As [`refused`], for texts in which nothing is found.
#[track_caller]
fn allowed(table: &str) {
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let text = line.replace("\\n", "\n");
        assert_eq!(found(ActionView::Shell(&text), None, false), None, "{text}");
    }
}

#[test]
fn programs_that_need_a_terminal() {
    refused(
        "vi /etc/hosts => vi
        /usr/bin/vi x => vi
        vim x => vim
        vim -c ':wq' x => vim
        nvim => nvim
        nano x => nano
        pico x => pico
        emacs -nw x => emacs
        less /var/log/syslog => less
        more x => more
        most x => most
        man ls => man
        top => top
        top -d 1 => top
        htop => htop
        btop => btop
        atop 1 => atop
        watch -n1 date => watch
        passwd => passwd
        passwd bob => passwd
        su => su
        su - => su
        su - bob => su
        su -l bob => su
        ssh web => ssh
        ssh -p 22 me@web => ssh
        ssh me@web -p 22 => ssh
        ssh -o BatchMode=yes web => ssh
        ssh -tt web => ssh
        telnet web 80 => telnet
        ftp web => ftp
        sftp web => sftp
        mysql => mysql
        mysql -u root db => mysql
        psql db => psql
        psql -h db -U me => psql
        sqlite3 x.db => sqlite3
        mongosh db => mongosh
        mongo => mongo
        redis-cli => redis-cli
        redis-cli -h db -p 6379 => redis-cli
        bash => bash
        sh => sh
        zsh -l => zsh
        bash -i => bash
        bash -i x.sh => bash
        python => python
        python3 => python3
        python3 -i x.py => python3
        python3 -W ignore => python3
        node => node
        irb => irb
        perl => perl
        screen => screen
        screen -r => screen
        tmux => tmux
        tmux attach -t x => tmux
        tmux new -s dev => tmux
        tmux -L x new-session => tmux
        visudo => visudo
        vipw => vipw
        crontab -e => crontab
        crontab -u bob -e => crontab
        git commit => git
        git commit --amend => git
        git -C /repo commit -a => git
        git rebase -i HEAD~3 => git
        systemctl edit nginx => systemctl
        dialog --yesno x 5 5 => dialog
        whiptail --msgbox x 5 5 => whiptail
        sudo systemctl restart nginx => sudo
        sudo -u bob id => sudo
        sudo -i => sudo
        doas id => doas",
    );
}

#[test]
fn the_same_programs_made_harmless() {
    allowed(
        "vim -es -c '%s/a/b/' -c wq x
        nvim --headless +q
        vi --version
        emacs --batch -l x.el
        less --version
        man -P cat ls
        man -k ssh
        MANPAGER=cat man ls
        man ls | head
        top -b
        top -bn1
        top -n 1 -b
        passwd --stdin bob
        passwd -l bob
        passwd -S bob
        su -c id
        su - bob -c 'id -u'
        su bob /tmp/x.sh
        ssh web uptime
        ssh -p 22 web ls -l
        ssh -N -L 1:h:2 web
        ssh -V
        ssh -o BatchMode=yes web true
        sftp -b batch web
        sftp web:/etc/hosts .
        ftp https://h/x
        mysql -e 'select 1'
        mysql -Be 'select 1' db
        mysql --execute='select 1'
        psql -c 'select 1'
        psql -f x.sql
        psql -lqt
        sqlite3 x.db 'select 1'
        sqlite3 x.db .tables
        mongosh --eval 'db.x'
        mongosh x.js
        redis-cli ping
        redis-cli -h db -p 6379 info
        redis-cli --scan
        bash x.sh
        bash x.sh -i
        bash -c 'uptime'
        bash -lc 'uptime'
        sh -ex x.sh
        bash -o pipefail x.sh
        python3 script.py
        python3 script.py -i
        python3 -c 'print(1)'
        python3 -c 'print(1)' -i
        python3 -m json.tool x
        python3 -V
        node x.js
        node -e 1
        perl -e 1
        perl -pi -e s/a/b/ x
        ruby x.rb
        screen -dmS x cmd
        screen -ls
        tmux new -d -s x cmd
        tmux new-session -ds x
        tmux kill-server
        tmux ls
        visudo -c
        visudo -cf /etc/sudoers.d/x
        crontab -l
        crontab x
        EDITOR=true crontab -e
        export EDITOR=true; crontab -e
        git commit -m x
        git commit -am x
        git commit -F msg
        git commit --amend --no-edit
        git -c core.editor=true commit
        git rebase main
        git log -p
        systemctl status nginx
        systemctl restart edit
        SYSTEMD_EDITOR=tee systemctl edit x
        journalctl -u nginx
        sudo -n id
        sudo -nu bob id
        sudo --non-interactive id
        sudo -S id
        sudo -A id
        sudo -k
        sudo -K
        sudo --version
        doas -n id",
    );
}

#[test]
fn words_that_only_look_like_commands() {
    allowed(
        "echo top
        grep vi /etc/passwd
        ls /usr/bin/top
        echo 'x; vi y'
        echo \"x && top\"
        echo x # ; vi y
        # vi x
        echo x\\; vi
        cat <<EOF\\nvi x\\ntop\\nEOF
        cat <<-'EOF' > x\\n\\tvi\\n\\tEOF\\necho done
        which vim less
        apt-get install -y vim htop
        command -v vi
        pgrep -f top
        vi=1
        PAGER=less git log
        kill $(pgrep top)
        echo `pgrep vi`
        echo $((top))
        x=(vi top)
        for vi in top less; do echo $vi; done
        case $1 in vi) echo x;; top) echo y;; esac
        less() { cat; }; less x
        function top { echo x; }; top
        $EDITOR x
        \"$EDITOR\" x
        vim-cmd x
        topgrade
        echo x > vi
        echo x >vi
        cat < top
        echo 'unclosed; vi",
    );
}

#[test]
fn stdin_that_is_not_a_terminal() {
    allowed(
        "cat x | less
        dmesg | more
        mysql < dump.sql
        mysql db <dump.sql
        mysql 0< dump.sql
        zcat dump.gz | mysql db
        mysql <<EOF\\nselect 1;\\nEOF
        psql <<< 'select 1'
        python3 - <<EOF\\nprint(1)\\nEOF
        python3 <<'EOF'\\nprint('vi')\\nEOF
        bash < x.sh
        curl -s h | sh
        curl -s h | bash -s -- -x
        echo 'select 1' | sqlite3 x.db
        echo ls | ssh web
        echo x:y | passwd bob
        less x | cat
        less x > y
        { mysql db; } < dump.sql
        ( mysql db ) < dump.sql
        cat x | while read l; do ssh $l; done
        cat x | (mysql)
        exec < x; mysql",
    );
    refused(
        "echo x | vi - => vi
        vi < x => vi
        cat x | top => top
        mysql 3< x => mysql
        cat x | grep y; less z => less
        cat <<EOF\\nx\\nEOF\\nvi y => vi
        mysql > out => mysql
        mysql 2>&1 => mysql",
    );
}

#[test]
fn commands_inside_commands() {
    refused(
        "cd /etc && vi hosts => vi
        uptime; top => top
        uptime\\ntop => top
        true || less x => less
        sleep 1 & top => top
        ( cd /etc; vi hosts ) => vi
        { top; } => top
        if true; then vi x; fi => vi
        while true; do top; done => top
        ! top => top
        TERM=xterm top => top
        A=1 B='x y' vi => vi
        env TERM=xterm top => top
        env -i -u X top => top
        nohup top => top
        exec bash => bash
        command vi x => vi
        time -p top => top
        nice top => top
        nice -n 5 top => top
        nice -5 top => top
        timeout 5 top => top
        timeout -k 1 -s KILL 5 top => top
        timeout --signal=KILL 5 top => top
        sudo -n vi x => vi
        sudo -n -u bob -- vi x => vi
        sudo -n env TERM=x nice top => top
        bash -c 'cd /; top' => top
        sudo -n sh -c 'vi x' => vi
        sh -c \"sh -c 'vi x'\" => vi
        'vi' x => vi
        \"/usr/bin/\"top => top
        vi $FILE => vi
        vi \"$FILE\" => vi
        ssh \"$HOST\" => ssh
        top 2>/dev/null => top
        2>/dev/null top => top
        top \\\\\\n -d 1 => top",
    );
}

#[test]
fn where_it_is_not_sure_it_allows() {
    allowed(
        "mysql $OPTIONS
        ssh $HOST
        top $FLAGS
        sudo $FLAGS id
        sh -c \"$TEXT\"
        env -S 'vi x'
        diff <(ssh a cat x) y; top
        xargs vi
        find . -exec vi {} +",
    );
}

#[test]
fn given_stdin_feeds_what_reads_it() {
    for text in ["mysql", "python3", "bash", "bash -s", "psql db", "ssh web", "less", "sh -c mysql"]
    {
        assert_eq!(found(ActionView::Shell(text), None, true), None, "{text}");
    }
    for text in ["vi x", "top", "htop", "tmux"] {
        assert!(found(ActionView::Shell(text), None, true).is_some(), "{text}");
    }
}

#[test]
fn root_is_not_asked_for_a_password() {
    assert_eq!(found(ActionView::Shell("sudo id"), Some("root"), false), None);
    assert_eq!(found(ActionView::Shell("sudo -n sh -c 'sudo id'"), None, false), None);
    assert_eq!(found(ActionView::Shell("sudo vi"), Some("root"), false).unwrap(), "vi");
    assert_eq!(found(ActionView::Shell("sudo id"), Some("bob"), false).unwrap(), "sudo");
    let back = "sudo -n -u bob sudo id";
    assert_eq!(found(ActionView::Shell(back), None, false).unwrap(), "sudo");
}

#[test]
fn argv_is_read_word_by_word() {
    let check = |argv: &[&str]| {
        let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
        found(ActionView::Argv(&argv), None, false)
    };
    assert_eq!(check(&["/usr/bin/top"]).unwrap(), "top");
    assert_eq!(check(&["sudo", "-n", "vi", "x"]).unwrap(), "vi");
    assert_eq!(check(&["sh", "-c", "uptime; vi x"]).unwrap(), "vi");
    assert_eq!(check(&["mysql", "<", "x"]).unwrap(), "mysql");
    assert_eq!(check(&["vi", "$x"]).unwrap(), "vi");
    assert_eq!(check(&["echo", "x; vi y"]), None);
    assert_eq!(check(&["echo", ";", "vi"]), None);
    assert_eq!(check(&["top", "-bn1"]), None);
    assert_eq!(check(&[]), None);
    assert_eq!(check(&[""]), None);
}

#[test]
fn every_program_has_one_row() {
    let mut names: Vec<&str> = PROGRAMS.iter().flat_map(|row| row.names).copied().collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_fail_badly(text in "[vi$(){}<>|&;'\"`\\\\ \n#=0-2!E-]{0,40}") {
        let _ = found(ActionView::Shell(&text), None, false);
    }
}

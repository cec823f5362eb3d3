"""Completion for bash, zsh and fish.

In: a shell's name, for the script; what the script puts into the environment, for an answer. Out: the script, and
answers, a line each: `plain`, `file`, `dir` or `policy`, and a value. click finds out what may come next; the scripts
are ours because click's know no file types: for `policy` the shell itself lists *.oom and directories.
"""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

_BASH = """\
# bash completion for %(prog_name)s; bash 4.4 or newer.
%(complete_func)s() {
    local IFS=$'\\n' response line type value
    local current=${COMP_WORDS[COMP_CWORD]}
    response=$(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" %(complete_var)s=bash_complete \\
        "$1" 2>/dev/null)
    COMPREPLY=()
    while read -r line; do
        type=${line%%%%,*} value=${line#*,}
        case $type in
            policy)
                compopt -o filenames
                mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(
                    compgen -d -- "$current"
                    compgen -f -X '!*.oom' -- "$current"
                )
                ;;
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done <<<"$response"
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_ZSH = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local -a plain described response
    local type key description
    (( ! $+commands[%(prog_name)s] )) && return 1
    response=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) %(complete_var)s=zsh_complete \\
        %(prog_name)s 2>/dev/null)}")
    for type key description in ${response}; do
        case $type in
            policy) _files -g '*.oom' ;;
            file) _files ;;
            dir) _files -/ ;;
            plain)
                if [[ $description == _ ]]; then
                    plain+=("$key")
                else
                    described+=("$key:$description")
                fi
                ;;
        esac
    done
    [[ -n $described ]] && _describe -V unsorted described -U
    [[ -n $plain ]] && compadd -U -V unsorted -a plain
    return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = """\
# fish completion for %(prog_name)s.
function %(complete_func)s
    set -l current "$(commandline -ct)"
    set -l words "$(commandline -cp)"
    set -l response (env %(complete_var)s=fish_complete COMP_WORDS=$words COMP_CWORD=$current \\
        %(prog_name)s 2>/dev/null)
    for line in $response
        set -l answer (string split -m 1 , -- $line)
        switch $answer[1]
            case policy
                __fish_complete_directories $current
                __fish_complete_suffix .oom
            case file
                __fish_complete_path $current
            case dir
                __fish_complete_directories $current
            case plain
                echo $answer[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments '(%(complete_func)s)'
"""


class _Bash(BashComplete):
    source_template = _BASH

    def source(self) -> str:
        # Not BashComplete's, which runs bash to see how old it is.
        return ShellComplete.source(self)


class _Zsh(ZshComplete):
    source_template = _ZSH


class _Fish(FishComplete):
    source_template = _FISH


_SHELLS: dict[str, type[ShellComplete]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def script(program: click.Command, variable: str, shell: str) -> str:
    """The script for a shell to read. variable: of the environment, by which it asks."""
    return _SHELLS[shell](program, {}, "oomlang", variable).source().rstrip("\n") + "\n"


def complete(program: click.Command, variable: str, instruction: str) -> int:
    """Answer a script. instruction: the value of the variable that it set, `bash_complete`."""
    shell, _, action = instruction.partition("_")
    if shell not in _SHELLS or action != "complete":
        return 1
    completion = _SHELLS[shell](program, {}, "oomlang", variable)
    click.echo(completion.complete().encode())
    return 0

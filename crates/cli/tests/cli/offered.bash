# Run by shells.rs: the folder of the program, then the words of a command line.
PATH=$1:$PATH
shift
source <(crossrealm completions bash)
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_TYPE=9
_clap_complete_crossrealm crossrealm "${COMP_WORDS[COMP_CWORD]}" ""
printf '%s\n' "${COMPREPLY[@]}"

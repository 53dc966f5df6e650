# SPDX-License-Identifier: Apache-2.0
# packaging/fovea.bash — completion for bash: commands, options, models, files. All is asked of the tool itself.
_fovea() {
  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} tool=${COMP_WORDS[0]}
  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W "$("$tool" --help 2>/dev/null | sed -n '/^Subcommands:/,$s/^  \([a-z-]*\)[ ,].*/\1/p')" -- "$word"))
  elif [[ ${COMP_WORDS[COMP_CWORD-1]} == --model ]]; then
    COMPREPLY=($(compgen -W "$("$tool" models 2>/dev/null)" -- "$word"))
  elif [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$("$tool" "$command" --help 2>/dev/null | grep -o -- '--[a-z][a-z-]*' | sort -u)" -- "$word"))
  elif [[ $COMP_CWORD = 2 && $command = cache ]]; then
    COMPREPLY=($(compgen -W "list verify gc" -- "$word"))
  elif [[ $COMP_CWORD = 2 && $command =~ ^(bench|classify|download|explain|export|features|info|quantize)$ ]]; then
    COMPREPLY=($(compgen -W "$("$tool" models 2>/dev/null)" -- "$word"))
  else
    compopt -o default 2>/dev/null
  fi
}
complete -F _fovea fovea

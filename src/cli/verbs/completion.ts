/** Completion for shells: `mcpstead completion SHELL` prints what a shell runs at its start. */
import { Refusal } from '../../terminal/explain.js';
import type { Verb } from '../verb.js';

/**
 * Each asks the hidden command `mcpstead __complete`, whose output is one proposal a line that matches what is typed. None lets the shell
 * expand a proposal (`compgen -W` would): the names of tools are texts of others.
 */
const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `# eval "$(mcpstead completion bash)"
_mcpstead() {
  local found
  COMPREPLY=()
  while IFS= read -r found; do
    COMPREPLY+=("$found")
  done < <(mcpstead __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _mcpstead mcpstead
`,
  zsh: `#compdef mcpstead
# eval "$(mcpstead completion zsh)"
_mcpstead() {
  local -a found
  found=("\${(@f)$(mcpstead __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  compadd -a found || _files
}
# From a file of $fpath the first Tab runs this file as the function; eval has it registered.
if [ "$funcstack[1]" = _mcpstead ]; then _mcpstead "$@"; else compdef _mcpstead mcpstead; fi
`,
  fish: `# mcpstead completion fish | source
complete -c mcpstead -a '(mcpstead __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
  pwsh: `# mcpstead completion pwsh | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName mcpstead -ScriptBlock {
  param($word, $line, $at)
  $words = @($line.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
  if ($word -eq '') { $words += '' }
  mcpstead __complete @words 2>$null | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
`,
};

export const completion: Verb = ({ words: [shell = ''] }, terminal) => {
  const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
  if (script === undefined)
    throw new Refusal(
      `there is no completion for '${shell}'; there is: ${Object.keys(SCRIPTS).join(', ')}`,
      2,
    );
  terminal.out(script);
  return Promise.resolve(0);
};

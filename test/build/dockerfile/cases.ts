// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a Dockerfile has substitutions of its own
/** A small Dockerfile, whose image's config docker was asked for: `configs.json` has its answers, by these names. */
export interface Case {
  readonly text: string
  /** A Dockerfile for the image `case-base`, built first. */
  readonly base?: string
  readonly args?: Readonly<Record<string, string>>
  readonly target?: string
}

const base =
  'FROM scratch\nENV HOME=/root LANG=C.UTF-8 EMPTY=\nCMD ["base"]\nLABEL from=base\nEXPOSE 1\nVOLUME /base\nWORKDIR /base\nUSER base\n'

/** Files of the context: `f` and `d/g`. */
export const cases: Readonly<Record<string, Case>> = {
  'nothing but a base': { text: 'FROM scratch\nCOPY f /\n' },
  'env, both forms': { text: 'FROM scratch\nENV A one two  three\nENV B=1 C="two words" D=\'single $A\' E=a\\ b F= G=""\n' },
  'the values of one ENV see the state before it': { text: 'FROM scratch\nENV A=1\nENV A=2 B=$A\nENV C=${A}${B}x$D\n' },
  'names keep their places': { text: 'FROM scratch\nENV A=1 B=2\nENV A=3 PATH=/bin\n' },
  'defaults and alternatives': {
    text: 'FROM scratch\nENV A=a E=\nENV R1=${A:-d} R2=${X:-d} R3=${E:-d} R4=${A:+p} R5=${X:+p} R6=${E:+p} R7=${X:-${A:-z}} R8=${X:-"q q"}\n',
  },
  escapes: { text: 'FROM scratch\nENV A=a\nENV B=\\$A C="\\$A" D=\'$A\' E="\\"q\\"" F=\\\\x G="a\\nb" H=a\\"b I=$$A J="$A$"\n' },
  'in single quotes and double quotes': { text: 'FROM scratch\nENV A=\'"$HOME"\' B="\'$PATH\'" C="a"\'b\'c\n' },
  'variables of the base image': { base, text: 'FROM case-base\nENV X=$HOME/bin Y=${LANG:-none} Z=${EMPTY:-empty} W=${NOT_SET}\n' },
  'a path is added to': { base, text: 'FROM case-base\nENV PATH=/app/bin:$PATH\nENV PATH=$PATH:/last\n' },
  'everything of the base image': { base, text: 'FROM case-base\nCOPY f /\n' },
  'an entrypoint takes the command of the base away': { base, text: 'FROM case-base\nENTRYPOINT ["e"]\n' },
  'a command and an entrypoint of its own': { base, text: 'FROM case-base\nCMD ["c"]\nENTRYPOINT e $x\n' },
  'an entrypoint before the command': { base, text: 'FROM case-base\nENTRYPOINT ["e"]\nCMD ["c"]\n' },
  'commands in both forms': { text: 'FROM scratch\nENTRYPOINT exec  top   -b\nCMD [ "a", "b c", "\\u00e9" ]\n' },
  'a list that is none is for the shell': { text: "FROM scratch\nCMD ['a', 'b']\n" },
  'empty lists': { base, text: 'FROM case-base\nENTRYPOINT []\nCMD []\n' },
  'the last command counts': { text: 'FROM scratch\nCMD one\nCMD ["two"]\n' },
  'another shell': { text: 'FROM scratch\nSHELL ["/bin/bash", "-o", "pipefail", "-c"]\nCMD a | b\nENTRYPOINT c\n' },
  labels: { text: 'FROM scratch\nENV V=1\nLABEL a=b "c d"=e v=$V w="$V \\$V" multi="one \\\n  two"\nLABEL old form  of it\nLABEL a=c\n' },
  'a maintainer': { text: 'FROM scratch\nMAINTAINER Jo "J" <jo@example.org>\n' },
  'ports, ranges of ports': { text: 'FROM scratch\nENV P=90\nEXPOSE 80 443/tcp 53/udp 8000-8003 9000-9001/udp $P/sctp 80/TCP\n' },
  'ports in one variable': { text: 'FROM scratch\nENV P="1 2/udp"\nEXPOSE $P 3\n' },
  'volumes in both forms': { text: 'FROM scratch\nENV D=/d\nVOLUME /a $D/b\nVOLUME ["/c d", "$D/e"]\n' },
  users: { text: 'FROM scratch\nENV U=jo\nUSER $U:staff\n' },
  'working directories': { text: 'FROM scratch\nENV D=/x\nWORKDIR $D\nWORKDIR y/../z\nWORKDIR "w w"\n' },
  'a relative working directory on that of the base': {
    base: 'FROM scratch\nWORKDIR /base\n',
    text: 'FROM case-base\nWORKDIR sub\nWORKDIR ./a//b/\n',
  },
  'stop signals': { text: 'FROM scratch\nENV S=SIGINT\nSTOPSIGNAL $S\n' },
  'a stop signal in digits': { text: 'FROM scratch\nSTOPSIGNAL 9\n' },
  'a health check with flags': {
    text: 'FROM scratch\nHEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2s --retries=5 CMD curl -f http://localhost/ || exit 1\n',
  },
  'a health check in JSON': { text: 'FROM scratch\nHEALTHCHECK --retries=1 CMD ["check", "it"]\n' },
  'no health check': { text: 'FROM scratch\nHEALTHCHECK CMD a\nHEALTHCHECK none\n' },
  triggers: { text: 'FROM scratch\nONBUILD COPY $X /\nONBUILD  RUN  make  "$Y"\nonbuild env A=1\n' },
  'triggers of the base are carried out': {
    base: 'FROM scratch\nENV A=base\nONBUILD ARG WHO=you\nONBUILD ENV B=$A-${WHO}\nONBUILD LABEL t=1\nONBUILD COPY f /f\n',
    text: 'FROM case-base\nENV C=$B\nONBUILD USER x\n',
  },
  'triggers of another stage': { text: 'FROM scratch AS one\nONBUILD ENV T=1\nFROM one\nENV U=$T\n' },
  'arguments and their defaults': { text: 'FROM scratch\nARG A=1\nARG B\nARG C="c c" D=$A\nENV R=$A-$B-$C-$D\n' },
  'arguments that are given': { args: { A: '2', B: 'b' }, text: 'FROM scratch\nARG A=1\nARG B\nENV R=$A-$B\n' },
  'an argument is not there before its ARG': { args: { A: '2' }, text: 'FROM scratch\nENV R=${A:-none}\nARG A\nENV S=${A:-none}\n' },
  'arguments before FROM': { text: 'ARG B=scratch\nARG N=1 M=$N.0\nFROM $B\nENV R=${N:-none}\nARG N\nARG M=own\nENV S=$N-$M\n' },
  'arguments before FROM that are given': {
    args: { B: 'one', N: '2' },
    text: 'ARG B=two\nARG N=1\nFROM scratch AS one\nENV S=one\nFROM scratch AS two\nENV S=two\nFROM ${B}\nARG N\nENV R=$N\n',
  },
  'an argument is there in stages on its own, and in no other': {
    text: 'FROM scratch AS one\nARG A=1\nENV B=$A\nFROM scratch AS two\nENV N=${A:-none}\nFROM one\nCOPY --from=two / /\nENV C=${A:-none}$B\n',
  },
  'an ENV after an ARG': { args: { A: 'given' }, text: 'FROM scratch\nARG A\nENV A=${A:-env}\nENV R=$A\n' },
  'platform arguments': { text: 'FROM scratch\nENV N=${TARGETARCH:-none}\nARG TARGETOS\nARG BUILDOS=own\nENV R=$TARGETOS-$BUILDOS\n' },
  'stages by their names, in any case': {
    text: 'FROM scratch AS Base\nENV A=1\nFROM base as NEXT\nENV B=$A\nFROM next\nCOPY --from=BASE / /\nENV C=$B\n',
  },
  'a target by its name': { target: 'one', text: 'FROM scratch AS one\nENV A=1\nFROM one\nENV B=1\nRUN false\n' },
  'lines that go on, with comments and empty lines': {
    text: '# a comment\n\nFROM scratch\n  ENV A=1 \\\n# comment\n\n    # another\n    B=2 \\  \n  C=3\nenv D=a\\\nb\n',
  },
  'another escape': { text: '# escape=`\nFROM scratch\nENV A=1 `\n  B=a\\b C="`"" D=`$A\n' },
  'directives above': { text: '# escape=\\\n# not=a directive\n# escape=`\nFROM scratch\nENV A=1 \\\n B=2\n' },
  'a byte order mark and line ends of Windows': { text: '\ufeffFROM scratch\r\nENV A=1 \\\r\n  B=2\r\nCMD ["x"]\r\n' },
}

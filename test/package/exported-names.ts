import ts from 'typescript';

/** Names that a module's type declarations export, values and types alike. */
export function exportedNames(declarations: string): string[] {
  const options = { module: ts.ModuleKind.Node20, skipLibCheck: true };
  const program = ts.createProgram([declarations], options);
  const checker = program.getTypeChecker();
  const file = program.getSourceFile(declarations);
  const symbol = file && checker.getSymbolAtLocation(file);
  if (symbol === undefined) throw new Error(`${declarations} is not a module`);
  return checker
    .getExportsOfModule(symbol)
    .map(({ name }) => name)
    .sort();
}

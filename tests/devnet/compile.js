// Compiles what the registry has as source only, and writes {name: {abi, bytecode, linkReferences}} to the file named.
const fs = require("fs");
const path = require("path");

const WANTED = { "*": { "*": ["abi", "evm.bytecode.object"] } };

function compile(compiler, root, entry, settings) {
  const read = (name) => {
    const file = path.join(root, name);
    return fs.existsSync(file) ? { contents: fs.readFileSync(file, "utf8") } : { error: `${file} is missing` };
  };
  const input = {
    language: "Solidity",
    sources: { [entry]: { content: read(entry).contents } },
    settings: { optimizer: { enabled: true, runs: 200 }, outputSelection: WANTED, ...settings },
  };
  const output = JSON.parse(require(compiler).compile(JSON.stringify(input), { import: read }));
  const errors = (output.errors || []).filter((one) => one.severity === "error");
  if (errors.length) throw new Error(errors[0].formattedMessage);
  return output.contracts[entry];
}

const modules = path.join(__dirname, "node_modules");
const compiled = {
  ...compile("solc-0.6.6", path.join(modules, "@chainlink/contracts"), "src/v0.6/FluxAggregator.sol", {}),
  ...compile("solc-0.8.19", path.join(modules, "@morpho-org/morpho-blue"), "src/Morpho.sol", { evmVersion: "paris" }),
  ...compile("solc-0.8.19", path.join(__dirname, "solidity"), "Props.sol", { evmVersion: "paris" }),
};
const artifacts = {};
for (const [name, { abi, evm }] of Object.entries(compiled)) {
  artifacts[name] = { abi, bytecode: "0x" + evm.bytecode.object, linkReferences: {} };
}
fs.writeFileSync(process.argv[2], JSON.stringify(artifacts));

// SPDX-License-Identifier: MIT
// Everything on the test chain that is not a protocol: tokens, oracle adapters, a liquidation bot, an impostor.
pragma solidity 0.8.19;

interface Feed {
    function latestAnswer() external view returns (int256);
}

/// An ERC-20 that anyone may mint and whose holders may burn.
contract Token {
    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    string public name;
    string public symbol;
    uint8 public immutable decimals;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    constructor(string memory symbol_, uint8 decimals_) {
        name = symbol_;
        symbol = symbol_;
        decimals = decimals_;
    }

    function mint(address to, uint256 value) external {
        totalSupply += value;
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    function burn(uint256 value) external {
        balanceOf[msg.sender] -= value;
        totalSupply -= value;
        emit Transfer(msg.sender, address(0), value);
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        move(msg.sender, to, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        if (allowance[from][msg.sender] != type(uint256).max) allowance[from][msg.sender] -= value;
        move(from, to, value);
        return true;
    }

    function move(address from, address to, uint256 value) private {
        balanceOf[from] -= value;
        balanceOf[to] += value;
        emit Transfer(from, to, value);
    }
}

/// A Morpho oracle: `numerator` over the answer of one feed (inverse), times it, or alone where there is no feed.
contract FeedOracle {
    Feed public immutable feed;
    bool public immutable inverse;
    uint256 public factor;

    constructor(address feed_, bool inverse_, uint256 factor_) {
        feed = Feed(feed_);
        inverse = inverse_;
        factor = factor_;
    }

    function set(uint256 factor_) external {
        factor = factor_;
    }

    function price() external view returns (uint256) {
        if (address(feed) == address(0)) return factor;
        uint256 answer = uint256(feed.latestAnswer());
        return inverse ? factor / answer : factor * answer;
    }
}

/// Several calls in one transaction, all or none.
contract Bot {
    function run(address[] calldata targets, bytes[] calldata inputs) external {
        for (uint256 i = 0; i < targets.length; i++) {
            (bool ok,) = targets[i].call(inputs[i]);
            require(ok, "call failed");
        }
    }
}

/// Emits a log with the topics of somebody else's event.
contract Impostor {
    function emitLog(bytes32[4] calldata topics, bytes memory words) external {
        bytes32 t0 = topics[0];
        bytes32 t1 = topics[1];
        bytes32 t2 = topics[2];
        bytes32 t3 = topics[3];
        assembly {
            log4(add(words, 32), mload(words), t0, t1, t2, t3)
        }
    }
}

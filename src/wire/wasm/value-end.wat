;; Where does a JSON object or array end? 64 bytes a step. Assembled by scripts/assemble.mjs into value-end.ts.
;;
;; The words at offset 0 of the memory hold the state between calls: depth (i32), whether the bytes so far end inside a
;; string (i32, 0 or 1), whether they end in an escape that goes on (i32, 0 or 1). The bytes to scan start at offset 64.
(module
  (memory (export "memory") 2)

  ;; Scans whole blocks from $at up to $end, both multiples of 64. Gives the offset after the bracket that closes the
  ;; value, or 0 if the value goes on.
  (func (export "scan") (param $at i32) (param $end i32) (result i32)
    (local $v0 v128) (local $v1 v128) (local $v2 v128) (local $v3 v128) (local $c v128)
    (local $quotes i64) (local $slashes i64) (local $open i64) (local $close i64) (local $all i64)
    (local $follows i64) (local $starts i64) (local $sum i64) (local $in i64) (local $bit i64)
    (local $escape i64) (local $string i64) (local $depth i32) (local $closing i32)

    (local.set $depth (i32.load (i32.const 0)))
    (local.set $string (i64.sub (i64.const 0) (i64.extend_i32_u (i32.load (i32.const 4)))))
    (local.set $escape (i64.extend_i32_u (i32.load (i32.const 8))))
    (block $out
      (loop $block
        (br_if $out (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $v0 (v128.load (local.get $at)))
        (local.set $v1 (v128.load offset=16 (local.get $at)))
        (local.set $v2 (v128.load offset=32 (local.get $at)))
        (local.set $v3 (v128.load offset=48 (local.get $at)))

        ;; Quotes.
        (local.set $c (i8x16.splat (i32.const 0x22)))
        (local.set $quotes (i64.or
          (i64.or
            (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v0) (local.get $c))))
            (i64.shl (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v1) (local.get $c)))) (i64.const 16)))
          (i64.or
            (i64.shl (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v2) (local.get $c)))) (i64.const 32))
            (i64.shl (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v3) (local.get $c)))) (i64.const 48)))))

        ;; A quote after an odd number of backslashes is escaped. Most blocks hold no backslash.
        (local.set $c (i8x16.splat (i32.const 0x5c)))
        (if (i32.or
              (i64.ne (local.get $escape) (i64.const 0))
              (v128.any_true (v128.or
                (v128.or (i8x16.eq (local.get $v0) (local.get $c)) (i8x16.eq (local.get $v1) (local.get $c)))
                (v128.or (i8x16.eq (local.get $v2) (local.get $c)) (i8x16.eq (local.get $v3) (local.get $c))))))
          (then
            (local.set $slashes (i64.or
              (i64.or
                (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v0) (local.get $c))))
                (i64.shl (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v1) (local.get $c)))) (i64.const 16)))
              (i64.or
                (i64.shl (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v2) (local.get $c)))) (i64.const 32))
                (i64.shl (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v3) (local.get $c)))) (i64.const 48)))))
            ;; A first backslash that the block before escapes escapes nothing itself.
            (local.set $slashes (i64.and (local.get $slashes) (i64.xor (local.get $escape) (i64.const -1))))
            (local.set $follows (i64.or (i64.shl (local.get $slashes) (i64.const 1)) (local.get $escape)))
            ;; Runs of backslashes that begin at an odd offset: adding them carries to the byte after each run.
            (local.set $starts (i64.and
              (i64.and (local.get $slashes) (i64.const 0xaaaaaaaaaaaaaaaa))
              (i64.xor (local.get $follows) (i64.const -1))))
            (local.set $sum (i64.add (local.get $starts) (local.get $slashes)))
            (local.set $escape (i64.extend_i32_u (i64.lt_u (local.get $sum) (local.get $slashes))))
            (local.set $quotes (i64.and (local.get $quotes) (i64.xor (i64.const -1)
              (i64.and
                (i64.xor (i64.const 0x5555555555555555) (i64.shl (local.get $sum) (i64.const 1)))
                (local.get $follows)))))))

        ;; One bit for each byte inside a string: the parity of the quotes up to it.
        (local.set $in (local.get $quotes))
        (if (i64.ne (local.get $quotes) (i64.const 0)) (then
          (local.set $in (i64.xor (local.get $in) (i64.shl (local.get $in) (i64.const 1))))
          (local.set $in (i64.xor (local.get $in) (i64.shl (local.get $in) (i64.const 2))))
          (local.set $in (i64.xor (local.get $in) (i64.shl (local.get $in) (i64.const 4))))
          (local.set $in (i64.xor (local.get $in) (i64.shl (local.get $in) (i64.const 8))))
          (local.set $in (i64.xor (local.get $in) (i64.shl (local.get $in) (i64.const 16))))
          (local.set $in (i64.xor (local.get $in) (i64.shl (local.get $in) (i64.const 32))))))
        (local.set $in (i64.xor (local.get $in) (local.get $string)))
        (local.set $string (i64.shr_s (local.get $in) (i64.const 63)))

        (if (i64.ne (local.get $in) (i64.const -1)) (then
          ;; Brackets and braces differ in one bit: 0x5b and 0x7b open, 0x5d and 0x7d close.
          (local.set $in (i64.xor (local.get $in) (i64.const -1)))
          (local.set $c (i8x16.splat (i32.const 0x20)))
          (local.set $v0 (v128.or (local.get $v0) (local.get $c)))
          (local.set $v1 (v128.or (local.get $v1) (local.get $c)))
          (local.set $v2 (v128.or (local.get $v2) (local.get $c)))
          (local.set $v3 (v128.or (local.get $v3) (local.get $c)))
          (local.set $c (i8x16.splat (i32.const 0x7b)))
          (local.set $open (i64.and (local.get $in) (i64.or
            (i64.or
              (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v0) (local.get $c))))
              (i64.shl (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v1) (local.get $c)))) (i64.const 16)))
            (i64.or
              (i64.shl (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v2) (local.get $c)))) (i64.const 32))
              (i64.shl (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v3) (local.get $c)))) (i64.const 48))))))
          (local.set $c (i8x16.splat (i32.const 0x7d)))
          (local.set $close (i64.and (local.get $in) (i64.or
            (i64.or
              (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v0) (local.get $c))))
              (i64.shl (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v1) (local.get $c)))) (i64.const 16)))
            (i64.or
              (i64.shl (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v2) (local.get $c)))) (i64.const 32))
              (i64.shl (i64.extend_i32_u (i8x16.bitmask (i8x16.eq (local.get $v3) (local.get $c)))) (i64.const 48))))))
          (local.set $closing (i32.wrap_i64 (i64.popcnt (local.get $close))))
          (if (i32.gt_s (local.get $depth) (local.get $closing))
            ;; Not enough closing ones to end the value in this block.
            (then (local.set $depth (i32.add (local.get $depth)
              (i32.sub (i32.wrap_i64 (i64.popcnt (local.get $open))) (local.get $closing)))))
            (else
              (local.set $all (i64.or (local.get $open) (local.get $close)))
              (block $done
                (loop $next
                  (br_if $done (i64.eqz (local.get $all)))
                  (local.set $bit (i64.and (local.get $all) (i64.sub (i64.const 0) (local.get $all))))
                  (if (i64.ne (i64.and (local.get $open) (local.get $bit)) (i64.const 0))
                    (then (local.set $depth (i32.add (local.get $depth) (i32.const 1))))
                    (else
                      (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
                      (if (i32.eqz (local.get $depth)) (then
                        (return (i32.add (local.get $at)
                          (i32.add (i32.const 1) (i32.wrap_i64 (i64.ctz (local.get $bit))))))))))
                  (local.set $all (i64.xor (local.get $all) (local.get $bit)))
                  (br $next)))))))

        (local.set $at (i32.add (local.get $at) (i32.const 64)))
        (br $block)))
    (i32.store (i32.const 0) (local.get $depth))
    (i32.store (i32.const 4) (i32.wrap_i64 (i64.and (local.get $string) (i64.const 1))))
    (i32.store (i32.const 8) (i32.wrap_i64 (local.get $escape)))
    (i32.const 0)))

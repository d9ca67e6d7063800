;; Counts the words of its input.
;;
;; `run` is given place and length of its input and returns the place of three numbers: 0 for a result or 1 for an error,
;; then place and length of what it puts out. The world may ask for room with `cabi_realloc`.
(module
  (import "infrafabric:task/log@0.1.0" "write" (func $log (param $level i32) (param $text i32) (param $length i32)))

  (memory (export "memory") 1)
  (data (i32.const 16) "counting")
  ;; Nothing is freed: every run has an instance of its own.
  (global $free (mut i32) (i32.const 1024))

  (func (export "cabi_realloc") (param $old i32) (param $oldSize i32) (param $align i32) (param $size i32) (result i32)
    (local $place i32)
    (local.set $place
      (i32.and
        (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $free (i32.add (local.get $place) (local.get $size)))
    (block $room
      (br_if $room (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
      (br_if $room
        (i32.ne
          (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1)))
          (i32.const -1)))
      (unreachable))
    (local.get $place))

  (func (export "run") (param $at i32) (param $length i32) (result i32)
    (local $end i32) (local $words i32) (local $isInWord i32) (local $isLetter i32) (local $digit i32)
    (call $log (i32.const 1) (i32.const 16) (i32.const 8))
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $isLetter (i32.gt_u (i32.load8_u (local.get $at)) (i32.const 32)))
        (local.set $words
          (i32.add
            (local.get $words)
            (i32.and (local.get $isLetter) (i32.eqz (local.get $isInWord)))))
        (local.set $isInWord (local.get $isLetter))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    ;; The number in decimal, from its last digit at 63 down.
    (local.set $digit (i32.const 64))
    (loop $more
      (local.set $digit (i32.sub (local.get $digit) (i32.const 1)))
      (i32.store8
        (local.get $digit)
        (i32.add (i32.const 48) (i32.rem_u (local.get $words) (i32.const 10))))
      (local.set $words (i32.div_u (local.get $words) (i32.const 10)))
      (br_if $more (local.get $words)))
    (i32.store (i32.const 0) (i32.const 0))
    (i32.store (i32.const 4) (local.get $digit))
    (i32.store (i32.const 8) (i32.sub (i32.const 64) (local.get $digit)))
    (i32.const 0)))

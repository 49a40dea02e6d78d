//! Sixteen numbers as the registers that hold them.

use super::{LANES, Singles};

/// One register of `f32`, as [`Singles`] is for sixteen of them.
pub(crate) trait Register: Copy {
    type Mask: Copy;

    fn splat(x: f32) -> Self;

    /// The numbers of register `i` of an array.
    fn load(from: &[f32; LANES], i: usize) -> Self;
    fn store(self, to: &mut [f32; LANES], i: usize);

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn mul_add(self, factor: Self, summand: Self) -> Self;
    fn neg_mul_add(self, factor: Self, summand: Self) -> Self;
    fn maximum(self, other: Self) -> Self;
    fn abs(self) -> Self;
    fn with_sign_of(self, other: Self) -> Self;
    fn below(self, other: Self) -> Self::Mask;
    fn equals(self, other: Self) -> Self::Mask;
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    fn zero_where(self, mask: Self::Mask) -> Self;
    fn both(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    fn any(mask: Self::Mask) -> bool;
    fn times_two_to(self, n: Self, power: Self) -> Self;
    fn add_to(self, sums: &mut [f64; LANES], i: usize);
}

/// [`Singles`] of some registers. Written out, not with `map`: closures may be compiled without the level's instructions.
macro_rules! singles {
    ($n:literal: $($i:literal)+) => {
        impl<R: Register> Singles for [R; $n] {
            type Mask = [R::Mask; $n];

            #[inline(always)]
            fn splat(x: f32) -> Self {
                [R::splat(x); $n]
            }

            #[inline(always)]
            fn load(from: &[f32; LANES]) -> Self {
                [$(R::load(from, $i)),+]
            }

            #[inline(always)]
            fn store(self, to: &mut [f32; LANES]) {
                $(self[$i].store(to, $i);)+
            }

            singles!(@two add sub mul div maximum with_sign_of: $($i)+);
            singles!(@three mul_add neg_mul_add times_two_to: $($i)+);
            singles!(@mask below equals: $($i)+);

            #[inline(always)]
            fn abs(self) -> Self {
                [$(self[$i].abs()),+]
            }

            #[inline(always)]
            fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
                [$(R::select(mask[$i], yes[$i], no[$i])),+]
            }

            #[inline(always)]
            fn zero_where(self, mask: Self::Mask) -> Self {
                [$(self[$i].zero_where(mask[$i])),+]
            }

            #[inline(always)]
            fn both(a: Self::Mask, b: Self::Mask) -> Self::Mask {
                [$(R::both(a[$i], b[$i])),+]
            }

            #[inline(always)]
            fn any(mask: Self::Mask) -> bool {
                $(R::any(mask[$i]))|+
            }

            #[inline(always)]
            fn add_to(self, sums: &mut [f64; LANES]) {
                $(self[$i].add_to(sums, $i);)+
            }
        }
    };
    (@two $name:ident $($names:ident)*: $($i:literal)+) => {
        #[inline(always)]
        fn $name(self, other: Self) -> Self {
            [$(self[$i].$name(other[$i])),+]
        }
        singles!(@two $($names)*: $($i)+);
    };
    (@two : $($i:literal)+) => {};
    (@three $name:ident $($names:ident)*: $($i:literal)+) => {
        #[inline(always)]
        fn $name(self, a: Self, b: Self) -> Self {
            [$(self[$i].$name(a[$i], b[$i])),+]
        }
        singles!(@three $($names)*: $($i)+);
    };
    (@three : $($i:literal)+) => {};
    (@mask $name:ident $($names:ident)*: $($i:literal)+) => {
        #[inline(always)]
        fn $name(self, other: Self) -> Self::Mask {
            [$(self[$i].$name(other[$i])),+]
        }
        singles!(@mask $($names)*: $($i)+);
    };
    (@mask : $($i:literal)+) => {};
}

#[cfg(target_arch = "x86_64")]
singles!(1: 0);
#[cfg(target_arch = "x86_64")]
singles!(2: 0 1);
singles!(4: 0 1 2 3);
